"""
Makes the golden files of the training engine, with PyTorch, transformers, TRL, PEFT and bitsandbytes.

Never part of the product, and not run by the tests, which read the committed files. To run it:

    python3 -m venv .reference && . .reference/bin/activate
    pip install torch==2.13.0
    pip install transformers==5.24.0 trl==1.16.0 peft==0.21.2 accelerate==1.15.0 datasets==5.2.0
    pip install bitsandbytes==0.50.2
    python test/golden/make.py

The stories260K case reads $ODDSMITH_SHARED/data/stories260K/hf-derived (default: ../shared, beside
the repository). One thread, float32, fixed seeds: two runs on the same machine give the
same bytes. README.md here says what each file holds.
"""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

os.environ |= {'HF_HUB_OFFLINE': '1', 'TRANSFORMERS_VERBOSITY': 'error'}
os.environ |= {'HF_DATASETS_DISABLE_PROGRESS_BARS': '1', 'TRL_EXPERIMENTAL_SILENCE': '1'}
sys.dont_write_bytecode = True

import torch
from peft import set_peft_model_state_dict
from safetensors.torch import save_file
from tokenizers import Tokenizer

import english
import optimizers
import plain_orpo
import random_llama
import trl_orpo
import variants

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get('ODDSMITH_SHARED', HERE.parent.parent.parent / 'shared'))
STORIES = SHARED / 'data/stories260K/hf-derived'
SEEDS = {'tiny': 101, 'tiny-llama3': 202, 'stories260K': 303, 'adamw': 404}

AVERAGED = {
    'trl': 'what TRL logs as logits/*: positions 0 .. padded_length - 2 of every row. Pads are '
    'included, and what they hold depends on pad_id',
    'predicting': 'positions 0 .. T-2 of prompt + answer of each row, T its own length: no pads; '
    'one mean over all rows together, so that long rows weigh more',
    'predicting_answer': 'those of them that predict an answer token: len(prompt)-1 .. T-2',
    'every_real_position': 'positions 0 .. T-1 of each row: no pads',
}
LOGGED = {
    'order': 'train_sampling_strategy="sequential" makes the Trainer use a SequentialSampler: step '
    'k takes pairs 4(k-1) .. 4(k-1)+3 mod 8 as two micro-batches of two; 2 steps an epoch',
    'loss': "mean of the losses of the step's two micro-batches, not weighted by tokens. Each is "
    'divided by 2 before its backward pass, so the gradient is that of this mean. '
    'logging_steps=1: nothing is averaged over steps',
    'metrics': "mean of the two micro-batches' values, computed with the weights before the step",
    'grad_norm': 'L2 norm over all LoRA matrices before clipping; clipping multiplies gradients by '
    'min(1, max_grad_norm / (grad_norm + 1e-6))',
    'learning_rate': 'the rate that this step used: 0 at step 1 (warm-up begins at 0/4), so that '
    'step 1 changes no weight but feeds the moments; 1.25e-3 at step 2, the peak 5e-3 at step 5',
    'logits': 'logits/* as TRL, pads included; logits_predicting/* over positions 0 .. T-2 of '
    'each row without pads. Both are means of the two micro-batches',
}


def made(seed):
    versions = {name: version(name) for name in ('torch', 'transformers', 'trl', 'peft')}
    return {'by': 'test/golden/make.py', **versions, 'seed': seed}


def readable(value, indent=0, width=110):
    """JSON with one line for whatever fits in one."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= width or not isinstance(value, (dict, list)) or not value:
        return flat
    if isinstance(value, list) and all(isinstance(x, (int, float)) for x in value):
        return flat
    pad = '\n' + ' ' * (indent + 2)
    if isinstance(value, dict):
        parts = [f'{json.dumps(key)}: {readable(item, indent + 2)}' for key, item in value.items()]
        return '{' + pad + f',{pad}'.join(parts) + pad[:-2] + '}'
    return '[' + pad + f',{pad}'.join(readable(item, indent + 2) for item in value) + pad[:-2] + ']'


def write(name, content):
    json.dumps(content, allow_nan=False)
    (HERE / f'{name}.json').write_text(readable(content) + '\n')


def write_tensors(name, seed, tensors):
    path = HERE / f'{name}.safetensors'
    whole = {key: value.contiguous() for key, value in tensors.items()}
    # One metadata key: safetensors writes several in random order.
    save_file(whole, path, {'made': json.dumps(made(seed))})
    path.chmod(0o644)


def random_adapter(model, generator):
    """A ~ N(0, 0.2), B ~ N(0, 0.1): large enough for every gradient to be far from zero."""
    adapter = sorted(trl_orpo.adapter(model).items())
    draw = {key: torch.randn(value.shape, generator=generator) for key, value in adapter}
    return {key: value * (0.2 if 'lora_A' in key else 0.1) for key, value in draw.items()}


def check(what, got, expected, tolerance):
    assert got.keys() == expected.keys(), f'{what}: names differ'
    for key, wanted in expected.items():
        worst = ((got[key] - wanted).abs().max() / wanted.abs().max()).item()
        assert worst <= tolerance, f'{what}: {key} differs by {worst} of its largest value'


def prefixed(prefix, tensors):
    return {f'{prefix}.{key}': value for key, value in tensors.items()}


def micro_batch(directory, pairs, ids, seed, lora=trl_orpo.LORA):
    """Loss, metrics, gradients of pairs 0 and 1 under a random adapter: TRL's, and answer-only."""
    run = trl_orpo.trainer(trl_orpo.load(directory), pairs, seed, trl_orpo.SETTINGS, lora)
    adapter = random_adapter(run.model, torch.Generator().manual_seed(seed + 1))
    set_peft_model_state_dict(run.model, adapter)
    check('adapter as loaded', trl_orpo.adapter(run.model), adapter, 0)
    metrics, grad, length = trl_orpo.micro_batch(run)
    beta = trl_orpo.SETTINGS['beta']

    def plain(nll_over, batch=pairs[:2]):
        run.model.zero_grad()
        loss, parts = plain_orpo.orpo(run.model, batch, beta, nll_over)
        loss.backward()
        return parts, trl_orpo.gradients(run.model)

    def brief(parts, grad):
        norm = torch.cat([g.flatten().double() for g in grad.values()]).norm().item()
        scalars = {key: parts[key] for key in ('loss', 'nll_loss')}
        odds = {key: parts['per_pair'][key] for key in ('chosen_logps', 'rejected_logps')}
        return {**scalars, **odds, 'grad_norm': norm}

    same, same_grad = plain('prompt and answer')
    for key in ('loss', 'nll_loss'):
        error = abs(same[key] / metrics[key] - 1)
        assert error < 1e-6, f'{key}: plain code says {same[key]}, TRL {metrics[key]}'
    check('gradients of the plain code against TRL', same_grad, grad, 1e-5)
    answer, answer_grad = plain('answer')
    leads = [{'chosen': 0, 'rejected': 1}, {'chosen': 1, 'rejected': 0}]
    led = [{**pair, 'lead': lead} for pair, lead in zip(pairs, leads)]
    with torch.no_grad():
        logits = run.model(torch.tensor([ids]), use_cache=False).logits[0]
    trl_logits = {side: metrics[f'logits/{side}'] for side in ('chosen', 'rejected')}
    result = {
        'pairs': [0, 1],
        'beta': beta,
        'pad_id': trl_orpo.PAD,
        'padded_length': length,
        'metrics': metrics,
        'answer_nll': {'loss': answer['loss'], 'nll_loss': answer['nll_loss']},
        'sequence_nll': brief(*plain('answer by sequence')),
        'with_lead': {'leads': leads, **brief(*plain('prompt and answer', led))},
        'per_pair': same['per_pair'],
        'logits_means': {'averaged_over': AVERAGED, 'trl': trl_logits, **same['logits_means']},
    }
    grads = {**prefixed('grad', grad), **prefixed('grad_answer_nll', answer_grad)}
    return result, {**adapter, **grads, 'logits_with_adapter': logits}


def training(directory, pairs, seed, settings):
    """Twenty steps from PEFT's initial adapter, and how far other rounding takes the same run."""
    run = trl_orpo.trainer(trl_orpo.load(directory), pairs, seed, settings)
    initial = trl_orpo.adapter(run.model)
    steps = trl_orpo.train(run)
    final = trl_orpo.adapter(run.model)
    clipped = sum(step['grad_norm'] > settings['max_grad_norm'] for step in steps)
    assert len(steps) == 20 and clipped > 0, f'{len(steps)} steps, {clipped} clipped'

    other = trl_orpo.trainer(trl_orpo.load(directory, torch.float64, 'sdpa'), pairs, seed, settings)
    start = trl_orpo.adapter(other.model)
    assert all(torch.equal(start[key], initial[key]) for key in initial), 'initial adapters differ'
    other_steps = trl_orpo.train(other)
    last = trl_orpo.adapter(other.model)
    pairwise = list(zip(steps, other_steps, strict=True))
    apart = {key: max(abs(a[key] - b[key]) for a, b in pairwise) for key in steps[0]}
    drift = {
        'about': 'largest absolute difference from the same run in float64 (norms, and what '
        'follows the log-probabilities, stay float32 in transformers and TRL)',
        **{key: value for key, value in apart.items() if value > 0},
        'final_adapter': max((last[key] - final[key]).abs().max().item() for key in final),
    }
    about = {'about': LOGGED, 'clipped_steps': clipped}
    result = {'settings': settings, 'seed': seed, **about, 'steps': steps, 'drift': drift}
    return result, {**prefixed('initial', initial), **prefixed('final', final)}


def uneven(directory, pairs):
    """Two epochs of seven pairs, by twos and three times accumulated: an epoch is six pairs and then one alone."""
    changes = {'gradient_accumulation_steps': 3, 'max_steps': 4, 'warmup_steps': 1}
    settings = {**trl_orpo.SETTINGS, **changes}
    run = trl_orpo.trainer(trl_orpo.load(directory), pairs[:7], SEEDS['tiny'], settings)
    about = 'pairs 0 to 6 of tiny.json in their order, from its initial adapter: steps of 2 + 2 + 2 pairs and of 1'
    return {'about': about, 'settings': settings, 'steps': trl_orpo.train(run)}


def case(name, directory, where, ids, pairs, max_grad_norm, more):
    seed = SEEDS[name]
    with torch.no_grad():
        logits = trl_orpo.load(directory)(torch.tensor([ids]), use_cache=False).logits[0]
    orpo, orpo_tensors = micro_batch(directory, pairs, ids, seed)
    settings = {**trl_orpo.SETTINGS, 'max_grad_norm': max_grad_norm}
    curve, curve_tensors = training(directory, pairs, seed, settings)
    content = {
        'made': made(seed),
        'model': where,
        'arithmetic': {'dtype': 'float32', 'attention': 'eager', 'threads': 1},
        'lora': trl_orpo.LORA,
        'ids': ids,
        'pairs': pairs,
        'orpo': orpo,
        'training': curve,
    }
    write(name, {**content, **more})
    write_tensors(name, seed, {'logits': logits, **orpo_tensors, **curve_tensors})


def random_case(name, config, shards):
    generator = torch.Generator().manual_seed(SEEDS[name])
    directory = HERE / name
    random_llama.save(directory, config, random_llama.weights(config, generator), shards)
    random_llama.check(config, trl_orpo.load(directory))
    ids = random_llama.random_ids(config['vocab_size'], generator)
    pairs = random_llama.random_pairs(config['vocab_size'], generator)
    case(name, directory, f'test/golden/{name}', ids, pairs, 0.5, {})


def stories():
    tokenizer = Tokenizer.from_file(str(STORIES / 'tokenizer.json'))
    text = 'One day, Lily and her mom went to the park. They saw a big dog and a cat.'
    ids = tokenizer.encode(text).ids[:24]
    assert len(ids) == 24, f'{len(ids)} ids, 24 wanted'
    documents = list(english.documents(tokenizer))
    choices = plain_orpo.score(trl_orpo.load(STORIES), documents)
    pairs = english.preference_pairs(tokenizer)
    where = '$ODDSMITH_SHARED/data/stories260K/hf-derived'
    # 1.0 clips fifteen of the twenty steps, 0.5 would clip all.
    case('stories260K', STORIES, where, ids, pairs, 1.0, {'choices': choices})


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    random_case('tiny', random_llama.TINY, 1)
    random_case('tiny-llama3', random_llama.TINY_LLAMA3, 2)
    stories()
    tiny = json.loads((HERE / 'tiny.json').read_text())
    rslora = variants.rslora(HERE / 'tiny', HERE / 'tiny.safetensors', tiny['ids'])
    write('uneven', {'made': made(SEEDS['tiny']), **uneven(HERE / 'tiny', tiny['pairs'])})
    write('rslora', {'made': made(SEEDS['tiny']), **rslora})
    content, tensors = variants.dropout(HERE / 'tiny', HERE / 'tiny.safetensors', tiny['pairs'])
    write('dropout', {'made': made(SEEDS['tiny']), **content})
    write_tensors('dropout', SEEDS['tiny'], tensors)
    write('adamw', {'made': made(SEEDS['adamw']), **optimizers.adamw(SEEDS['adamw'])})
    content, tensors = optimizers.adamw8bit()
    write('adamw8bit', {'made': made(None), 'bitsandbytes': version('bitsandbytes'), **content})
    write_tensors('adamw8bit', None, tensors)
    write('schedules', {'made': made(None), **optimizers.schedules()})


if __name__ == '__main__':
    main()
