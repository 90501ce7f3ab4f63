"""torch's and bitsandbytes' AdamW on small vectors, and the learning rates of transformers' schedules."""

import bitsandbytes
import numpy
import torch
from bitsandbytes.backends import cpu
from bitsandbytes.functional import create_dynamic_map
from transformers import TrainingArguments, get_scheduler

BETAS, EPSILON, DECAY = (0.9, 0.999), 1e-8, 0.01


def adamw(seed, size=17, steps=5, max_norm=1.0):
    """Parameters and both moments after each step, with and without clipping and weight decay."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(size, generator=generator)
    scales = [0.4, 0.1, 0.02, 1.0, 0.2]  # so that steps 1 and 4 are clipped at 1
    given = [torch.randn(size, generator=generator) * scale for scale in scales]
    given[1][3:6] = 0.0
    for gradient in given:
        gradient[16] = 0.0  # never a gradient: only weight decay moves the last value
    rates = [0.0, 0.005, 0.01, 0.01, 0.0025]
    cases = {}
    for name, clip, decay in (('unclipped', None, DECAY), ('clipped', max_norm, DECAY), ('undecayed', max_norm, 0.0)):
        x = torch.nn.Parameter(start.clone())
        optimizer = torch.optim.AdamW([x], lr=0.0, betas=BETAS, eps=EPSILON, weight_decay=decay)
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
        'about': 'element k of gradients, learning_rates and of each case is of step k + 1; '
        'x, m, v are after it, norm before clipping; clipped multiplies the gradient by '
        'min(1, max_norm / (norm + 1e-6)), undecayed too, whose weight decay is 0',
        'learning_rates': rates,
        'start': start.tolist(),
        'gradients': [gradient.tolist() for gradient in given],
        **cases,
    }


def numbers(count, stream):
    """`count` float32 numbers of many magnitudes, the same in any language: below 2^53 all of it is exact."""
    i = numpy.arange(count, dtype=numpy.uint64)
    mixed = (i * 2654435761 + stream * 2246822519) % 2**32
    unit = (mixed >> 8).astype(numpy.float64) / 2**24 - 0.5
    return torch.tensor(unit / 2.0 ** ((i >> 4) % 11).astype(numpy.float64), dtype=torch.float32)


# Two tensors: one of 19 blocks of 256 and one of 136, and one that is too small for 8 bits.
SIZES_8BIT, STEPS_8BIT, NORM_8BIT = (5000, 300), 12, 5.0


def nearest(values, code, scales, codes, block):
    """bitsandbytes' own quantization in PyTorch: to the nearest code, as its CUDA kernel does."""
    operator = torch.ops.bitsandbytes.quantize_blockwise.default
    portable = torch._C.DispatchKeySet(torch._C.DispatchKey.CompositeExplicitAutograd)
    found, largest = operator.redispatch(portable, values, code, block)
    codes.copy_(found)
    scales.copy_(largest)


def adamw8bit():
    """bitsandbytes' AdamW8bit on the CPU, and how far torch's AdamW is from it. Returns JSON and tensors."""
    rates = [0.0, *(0.01 * (STEPS_8BIT - k) / STEPS_8BIT for k in range(1, STEPS_8BIT))]

    def run(make):
        starts = numbers(sum(SIZES_8BIT), 0).split(SIZES_8BIT)
        parameters = [torch.nn.Parameter(start.clone()) for start in starts]
        optimizer = make(parameters, lr=0.0, betas=BETAS, eps=EPSILON, weight_decay=DECAY)
        norms = []
        for k, rate in enumerate(rates, 1):
            given = numbers(sum(SIZES_8BIT), k) / 2 ** (k % 3)
            for parameter, gradient in zip(parameters, given.split(SIZES_8BIT), strict=True):
                parameter.grad = gradient.clone()
            norms.append(torch.nn.utils.clip_grad_norm_(parameters, NORM_8BIT).item())
            optimizer.param_groups[0]['lr'] = rate
            optimizer.step()
        return torch.cat([p.detach() for p in parameters]), optimizer.state[parameters[0]], norms

    # The table search of its CPU library finds a neighbour of the nearest code for 2 to 4 % of these values.
    quantize, cpu.ops._quant_blockwise_fp32_direct = cpu.ops._quant_blockwise_fp32_direct, nearest
    x, state, norms = run(bitsandbytes.optim.AdamW8bit)
    cpu.ops._quant_blockwise_fp32_direct = quantize
    library, _, _ = run(bitsandbytes.optim.AdamW8bit)
    exact, _, _ = run(torch.optim.AdamW)
    assert state['state1'].dtype == torch.uint8 and min(norms) < NORM_8BIT < max(norms), norms
    tensors = {
        'x': x,
        'm.codes': state['state1'],
        'm.scales': state['absmax1'],
        'v.codes': state['state2'],
        'v.scales': state['absmax2'],
        'map.signed': create_dynamic_map(signed=True),
        'map.unsigned': create_dynamic_map(signed=False),
    }
    settings = {'beta1': BETAS[0], 'beta2': BETAS[1], 'epsilon': EPSILON, 'weight_decay': DECAY}
    content = {
        'settings': {**settings, 'max_norm': NORM_8BIT},
        'sizes': SIZES_8BIT,
        'learning_rates': rates,
        'norms': norms,
        'about': 'start is numbers(5300, 0) of optimizers.py, the gradient of step k numbers(5300, k) / 2^(k mod 3), split by '
        'sizes and clipped together; adamw8bit.safetensors has both tensors (x) after the last step, the '
        'state of the first one, and the maps. Quantized to the nearest code. from_torch: mean distance from '
        "torch.optim.AdamW on the same, of x and of what bitsandbytes' CPU library makes of it, which rounds less well",
        'from_torch': {
            'nearest': (x - exact).abs().mean().item(),
            'cpu_library': (library - exact).abs().mean().item(),
        },
    }
    return content, tensors


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
