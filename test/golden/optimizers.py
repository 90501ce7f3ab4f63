"""torch's AdamW on a small vector, and the learning rates of transformers' schedules."""

import torch
from transformers import get_scheduler

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


def schedules(rate=5e-3, steps=20):
    """The learning rate that each of `steps` optimizer steps uses."""
    result = {}
    for name in ('linear', 'cosine', 'constant_with_warmup'):
        for warmup in (4, 0):
            optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
            scheduler = get_scheduler(name, optimizer, warmup, steps)
            rates = []
            for _ in range(steps):
                rates.append(scheduler.get_last_lr()[0])
                optimizer.step()
                scheduler.step()
            result.setdefault(name, {})[f'warmup_{warmup}'] = rates
    about = 'element k is the rate of optimizer step k + 1; with warm-up the first step uses 0'
    return {'about': about, 'learning_rate': rate, 'steps': steps, 'schedules': result}
