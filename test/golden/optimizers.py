"""torch's AdamW on a small vector, and the learning rates of transformers' schedules."""

import torch
from transformers import TrainingArguments, get_scheduler

BETAS, EPSILON, DECAY = (0.9, 0.999), 1e-8, 0.01


def adamw(seed, size=17, steps=5, max_norm=1.0):
    """Parameters and both moments after each step, with and without clipping."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(size, generator=generator)
    scales = [0.4, 0.1, 0.02, 1.0, 0.2]  # so that steps 1 and 4 are clipped at 1
    given = [torch.randn(size, generator=generator) * scale for scale in scales]
    given[1][3:6] = 0.0
    for gradient in given:
        gradient[16] = 0.0  # never a gradient: only weight decay moves the last value
    rates = [0.0, 0.005, 0.01, 0.01, 0.0025]
    cases = {}
    for name, clip in (('unclipped', None), ('clipped', max_norm)):
        x = torch.nn.Parameter(start.clone())
        optimizer = torch.optim.AdamW([x], lr=0.0, betas=BETAS, eps=EPSILON, weight_decay=DECAY)
        rows = []
        for gradient, rate in zip(given, rates, strict=True):
            x.grad = gradient.clone()
            norm = torch.nn.utils.clip_grad_norm_([x], clip if clip else float('inf')).item()
            optimizer.param_groups[0]['lr'] = rate
            optimizer.step()
            state = optimizer.state[x]
            moments = {'m': state['exp_avg'].tolist(), 'v': state['exp_avg_sq'].tolist()}
            rows.append({'norm': norm, 'x': x.tolist(), **moments})
        cases[name] = rows
    settings = {'beta1': BETAS[0], 'beta2': BETAS[1], 'epsilon': EPSILON, 'weight_decay': DECAY}
    return {
        'settings': {**settings, 'max_norm': max_norm},
        'about': 'element k of gradients, learning_rates, unclipped, clipped is of step k + 1; '
        'x, m, v are after it, norm before clipping; clipped multiplies the gradient by '
        'min(1, max_norm / (norm + 1e-6))',
        'learning_rates': rates,
        'start': start.tolist(),
        'gradients': [gradient.tolist() for gradient in given],
        **cases,
    }


# Each schedule of which the rate is a function of the step alone, and its options.
SCHEDULES = [
    ('linear', {}),
    ('cosine', {}),
    ('cosine', {'num_cycles': 1.75}),
    ('cosine_with_restarts', {}),
    ('cosine_with_restarts', {'num_cycles': 3}),
    ('cosine_with_min_lr', {'min_lr': 1e-3}),
    ('cosine_with_min_lr', {'min_lr_rate': 0.3, 'num_cycles': 1.5}),
    ('cosine_warmup_with_min_lr', {'min_lr_rate': 0.1}),
    ('cosine_warmup_with_min_lr', {'min_lr': 2e-3, 'warmup_lr_rate': 0.25, 'num_cycles': 1.0}),
    ('polynomial', {}),
    ('polynomial', {'power': 2.5, 'lr_end': 1e-4}),
    ('inverse_sqrt', {}),
    ('inverse_sqrt', {'timescale': 7}),
    ('warmup_stable_decay', {'num_decay_steps': 6}),
    ('warmup_stable_decay', {'num_decay_steps': 8, 'warmup_type': 'cosine', 'decay_type': 'linear', 'min_lr_ratio': 0.1}),
    ('warmup_stable_decay', {'num_decay_steps': 5, 'num_stable_steps': 7, 'warmup_type': '1-sqrt', 'decay_type': '1-sqrt'}),
    ('warmup_stable_decay', {'num_decay_steps': 10, 'num_cycles': 1.2, 'min_lr_ratio': 0.05}),
    ('constant', {}),
    ('constant_with_warmup', {}),
]  # fmt: skip


def schedules(rate=5e-3, steps=20):
    """The learning rate that each of `steps` optimizer steps uses, for each schedule with and without warm-up."""
    cases = []
    for name, options in SCHEDULES:
        for warmup in (4, 0):
            optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
            scheduler = get_scheduler(name, optimizer, warmup, steps, options)
            rates = []
            for _ in range(steps):
                rates.append(scheduler.get_last_lr()[0])
                optimizer.step()
                scheduler.step()
            cases.append({'name': name, 'options': options, 'warmup_steps': warmup, 'rates': rates})
    return {
        'about': 'element k of rates is the rate of optimizer step k + 1; options are the '
        'scheduler_specific_kwargs of transformers.get_scheduler; warmup_ratios holds [warmup_steps '
        'below 1, steps of the run, what TrainingArguments.get_warmup_steps makes of them]',
        'learning_rate': rate,
        'steps': steps,
        'warmup_ratios': warmup_ratios(),
        'cases': cases,
    }


def warmup_ratios():
    """[ratio, steps of the run, steps of the warm-up]: the trainer rounds up."""
    ratios = [(0.03, 100), (0.1, 25), (0.1, 33), (0.5, 7), (0.07, 100), (0.0, 10)]
    arguments = [TrainingArguments(output_dir='unused', warmup_steps=ratio) for ratio, _ in ratios]
    return [[ratio, n, a.get_warmup_steps(n)] for (ratio, n), a in zip(ratios, arguments, strict=True)]
