"""Reference numbers for api/evaluation, from SciPy and statsmodels. Not part of the product.

    python test/evaluation/golden.py > test/evaluation/golden.json

Tango's interval is computed from its definition (a numerical maximum of the multinomial likelihood under the constraint,
then a root of the score statistic), not from the closed form that the product uses.
"""
import json
import math
import sys

import numpy
import scipy
import statsmodels
from scipy.optimize import brentq
from scipy.special import xlogy
from scipy.stats import norm, sem
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

Z = norm.ppf(0.975)


def tango(gained, lost, n):
    difference = (gained - lost) / n

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

    def root(target, low, high):
        return brentq(lambda delta: statistic(delta) - target, low, high, xtol=1e-14, rtol=1e-13)

    edge = 1 - 1e-9
    low = -1.0 if difference == -1 else root(Z, -edge, difference)
    high = 1.0 if difference == 1 else root(-Z, difference, edge)
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

json.dump({
    'versions': {'python': sys.version.split()[0], 'numpy': numpy.__version__, 'scipy': scipy.__version__,
                 'statsmodels': statsmodels.__version__},
    'z': float(Z),
    'mean': [{'values': v, 'mean': float(numpy.mean(v)), 'standardError': float(sem(v, ddof=1))} for v in values],
    'wilson': [{'right': k, 'n': n, 'interval': [float(x) for x in proportion_confint(k, n, 0.05, 'wilson')]}
               for k, n in proportions],
    'mcnemar': [{'gained': a, 'lost': b,
                 'pValue': float(mcnemar([[0, a], [b, 0]], exact=True).pvalue) if a + b else 1.0} for a, b in pairs],
    'tango': [{'gained': a, 'lost': b, 'n': n, 'interval': [float(x) for x in tango(a, b, n)]} for a, b, n in tables],
}, sys.stdout, indent=1)
print()
