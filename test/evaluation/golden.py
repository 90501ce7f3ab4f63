"""Reference numbers for api/evaluation, from SciPy, statsmodels and lm-evaluation-harness. Not part of the product.

    python test/evaluation/golden.py > test/evaluation/golden.json

Tango's interval is computed from its definition (a numerical maximum of the multinomial likelihood under the constraint,
then a root of the score statistic), not from the closed form that the product uses.
"""
import json
import math
import os
import random as python_random
import sys
from importlib.metadata import version

os.environ['DISABLE_MULTIPROC'] = '1'

import numpy
import scipy
import statsmodels
from scipy.optimize import brentq
from scipy.special import xlogy
from lm_eval.api import metrics
from lm_eval.api.group import AggMetricConfig, Group
from scipy.stats import norm, sem
from statsmodels.regression.linear_model import WLS
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_confint

metrics.print = lambda *_: None  # the bootstrap says what it does, on stdout
Z = norm.ppf(0.975)


def score(gained, lost, n):
    """The score statistic of a paired difference of two proportions, as a function of the difference."""
    def constrained(delta):
        # p(lost) = q, p(gained) = q + delta, the rest concordant. q = low + t, and only the derivative's sign change counts.
        low, width = max(0.0, -delta), (1 - abs(delta)) / 2

        def part(count, probability):
            return count / probability if count else 0.0

        def slope(t):
            return (part(lost, t + max(0.0, -delta)) + part(gained, t + max(0.0, delta))
                    - part(n - gained - lost, width - t))

        def likelihood(t):
            return (xlogy(lost, t + max(0.0, -delta)) + xlogy(gained, t + max(0.0, delta))
                    + xlogy(n - gained - lost, 2 * (width - t)))

        first, last = 1e-14 * width, (1 - 1e-14) * width
        candidates = [0.0, width]
        if slope(first) > 0 > slope(last):
            candidates.append(brentq(slope, first, last, xtol=1e-17, rtol=1e-15))
        return low + max(candidates, key=likelihood)

    def statistic(delta):
        variance = n * (2 * constrained(delta) + delta * (1 - delta))
        distance = gained - lost - n * delta
        return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance) if distance else 0.0

    return statistic


def tango(gained, lost, n, z=Z):
    difference = (gained - lost) / n
    statistic = score(gained, lost, n)

    def root(target, low, high):
        return brentq(lambda delta: statistic(delta) - target, low, high, xtol=1e-14, rtol=1e-13)

    edge = 1 - 1e-9
    low = -1.0 if difference == -1 else root(z, -edge, difference)
    high = 1.0 if difference == 1 else root(-z, difference, edge)
    return [low, high]


random = numpy.random.default_rng(42)
pairs = [(0, 0), (1, 0), (0, 5), (3, 3), (7, 1), (40, 20), (130, 171), (1000, 900), (5000, 5000), (20000, 20500),
         (700, 10), (0, 2000)]
tables = [(1, 7, 21), (40, 20, 160), (0, 0, 44), (1, 0, 44), (0, 0, 500), (3, 3, 500), (12, 0, 100), (0, 9, 30),
          (171, 130, 2376), (10, 10, 20), (19, 1, 20), (20, 0, 20), (0, 20, 20), (1, 0, 1), (900, 1000, 10042)]
proportions = [(0, 20), (20, 20), (1, 3), (239, 500), (1848, 2376)]
values = [
    [0, 1, 1, 0, 1],
    [1, 1, 1, 1],
    (random.random(200) < 0.7).astype(int).tolist(),
    random.random(50).round(6).tolist(),
]


# Stories of 3 to 40 tokens: log-likelihoods of two models, whose scores go together, and the numbers of tokens.
tokens = random.integers(3, 40, 60)
baseline = (-2.5 * tokens + random.normal(0, 6, 60)).round(4)
candidate = (baseline + 0.12 * tokens + random.normal(0, 3, 60)).round(4)
graded = (random.beta(2, 2, 40).round(6), random.beta(2.5, 2, 40).round(6))
strata = [random.normal(0.05, 0.3, 25).round(6), random.exponential(0.4, 40).round(6) - 0.3, random.integers(-1, 2, 60)]


def harness(statistic, items, resamples):
    return {'resamples': resamples, 'value': float(statistic(items)),
            'standardError': float(metrics.bootstrap_stderr(statistic, items, resamples))}


class Leaf:
    def __init__(self, name):
        self.task_name = name


def group(members, by_size):
    """By the harness' own Group over leaf tasks that have these results."""
    whole = Group(name='whole', aggregate_metric_list=[AggMetricConfig(metric='acc', weight_by_size=by_size)])
    whole.get_all_tasks = lambda: [Leaf(str(i)) for i in range(len(members))]
    results = whole.aggregate({str(i): {'acc,none': mean, 'acc_stderr,none': 'N/A' if error is None else error,
                                        'sample_len': n} for i, (n, mean, error) in enumerate(members)})
    error = results['acc_stderr,none']
    return {'members': members, 'bySize': by_size, 'n': results['sample_len'], 'mean': float(results['acc,none']),
            'standardError': None if error == 'N/A' else float(error)}


def bca(samples, weights, level):
    statistic = lambda *x, axis: sum(w * numpy.mean(s, axis=axis) for w, s in zip(weights, x))
    found = scipy.stats.bootstrap(samples, statistic, n_resamples=200_000, batch=2000, confidence_level=level,
                                  method='BCa', vectorized=True, random_state=7)
    return {'values': [s.tolist() for s in samples], 'shares': weights, 'level': level,
            'interval': [float(found.confidence_interval.low), float(found.confidence_interval.high)],
            'standardError': float(found.standard_error)}


def permutation(x, y, resamples=numpy.inf):
    found = scipy.stats.permutation_test((x, y), lambda a, b, axis: numpy.mean(b - a, axis=axis), vectorized=True,
                                         permutation_type='samples', n_resamples=resamples, batch=20000, random_state=7)
    return {'differences': (numpy.asarray(y) - x).round(9).tolist(), 'pValue': float(found.pvalue)}


def ratio():
    """Difference of log-likelihood per token with its robust error: least squares through 0, weighted by 1 / tokens, HC1."""
    fit = WLS(candidate - baseline, tokens, weights=1 / tokens).fit(cov_type='HC1', use_t=False)
    return {'baseline': baseline.tolist(), 'candidate': candidate.tolist(), 'tokens': tokens.tolist(),
            'difference': float(fit.params[0]), 'standardError': float(fit.bse[0]),
            'interval': [float(x) for x in fit.conf_int(0.05)[0]]}


def connor(n, discordant, alpha, power, sides):
    """The difference whose power, by its own normal approximation, is as asked: found by a root, not by the closed form."""
    def reached(d):
        return norm.cdf((d * math.sqrt(n) - norm.ppf(1 - alpha / sides) * math.sqrt(discordant))
                        / math.sqrt(discordant - d * d))
    return {'n': n, 'discordant': discordant, 'alpha': alpha, 'power': power, 'sides': sides,
            'detectable': brentq(lambda d: reached(d) - power, 1e-9, discordant - 1e-12, xtol=1e-15)}


power = NormalIndPower(ddof=0)
small = (numpy.array([0.2, 0.5, 0.5, 0.9, 0.1, 0.7, 0.3, 0.6, 0.4, 0.8, 0.5, 0.5]),
         numpy.array([0.4, 0.7, 0.5, 0.8, 0.3, 0.9, 0.4, 0.7, 0.3, 0.9, 0.7, 0.6]))
members = [[254, 0.2362, 0.0267], [651, 0.3287, 0.0184], [230, 0.2, 0.0264], [2, 0.5, 0.5]]
log_likelihoods = baseline.tolist()
weighed = list(zip(log_likelihoods, tokens.tolist()))

json.dump({
    'versions': {'python': sys.version.split()[0], 'numpy': numpy.__version__, 'scipy': scipy.__version__,
                 'statsmodels': statsmodels.__version__, 'lm_eval': version('lm_eval')},
    'z': float(Z),
    'mean': [{'values': v, 'mean': float(numpy.mean(v)), 'standardError': float(sem(v, ddof=1))} for v in values],
    'wilson': [{'right': k, 'n': n, 'interval': [float(x) for x in proportion_confint(k, n, 0.05, 'wilson')]}
               for k, n in proportions],
    'mcnemar': [{'gained': a, 'lost': b,
                 'pValue': float(mcnemar([[0, a], [b, 0]], exact=True).pvalue) if a + b else 1.0} for a, b in pairs],
    'tango': [{'gained': a, 'lost': b, 'n': n, 'interval': [float(x) for x in tango(a, b, n)]} for a, b, n in tables],
    'claims': [{'gained': a, 'lost': b, 'n': n, 'bound': bound, 'pValue': float(norm.sf(score(a, b, n)(bound))),
                'interval90': [float(x) for x in tango(a, b, n, norm.ppf(0.95))]}
               for a, b, n, bound in [(40, 20, 160, 0.05), (12, 15, 500, -0.02), (0, 0, 500, -0.01), (3, 30, 200, -0.02)]],
    'normal': [{'x': x, 'p': float(norm.cdf(x))} for x in [-37, -8, -4, -2.6, -2.5, -2.4, -1, -1e-3, 0, 0.5, 2, 2.6, 6]],
    'pythonRandom': [{'seed': s, 'draws': [r.random() for _ in range(3)]}
                     for s in [0, 1, 99, 2**32 - 1] for r in [python_random.Random(s)]],
    'perplexity': {
        'logLikelihoods': log_likelihoods, 'weights': tokens.tolist(),
        'perplexity': float(metrics.perplexity(log_likelihoods)),
        'weighted': float(metrics.weighted_perplexity(weighed)), 'bitsPerByte': float(metrics.bits_per_byte(weighed)),
        'bootstrap': [harness(metrics.perplexity, [x / 10 for x in log_likelihoods], r) for r in [2, 500, 3000, 3700]],
        'median': harness(metrics.median, log_likelihoods, 2000),
    },
    'group': [group(members, True), group(members, False), group([*members, [1, 1.0, None]], True),
              group([*members, [1, 1.0, None]], False), group(members[:1], True)],
    'holm': [{'pValues': p, 'adjusted': multipletests(p, method='holm')[1].tolist()}
             for p in [[0.01, 0.04, 0.03, 0.005], [0.5, 0.5, 0.9], [1e-12, 1.0], [0.2],
                       random.random(19).round(4).tolist()]],
    'bca': [bca([graded[1] - graded[0]], [1.0], 0.95), bca(strata, [1 / 3] * 3, 0.9), bca([strata[1]], [1.0], 0.95)],
    'ratio': ratio(),
    'permutation': [permutation(*small), permutation(small[1], small[0]), permutation([1, 2, 3], [1, 2, 3.5]),
                    permutation([0.5, 0.25], [0.25, 0.5])],
    'permutationDrawn': permutation(*graded, 500_000),
    'power': [{'n': n, 'alpha': a, 'power': p, 'sides': s,
               # solve_power stops at five digits
               'effect': brentq(lambda e: power.power(e, n, a, ratio=0, alternative='two-sided' if s == 2 else 'larger') - p,
                                1e-6, 5, xtol=1e-14)}
              for n, a, p, s in [(500, 0.05, 0.8, 2), (500, 0.05, 0.8, 1), (2376, 0.01, 0.9, 1), (50, 0.05, 0.8, 2)]],
    'connor': [connor(500, 0.1, 0.05, 0.8, 2), connor(1172, 0.03, 0.05, 0.8, 1), connor(100, 0.4, 0.01, 0.9, 2)],
}, sys.stdout, indent=1)
print()
