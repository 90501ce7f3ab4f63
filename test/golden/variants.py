"""Variants of LoRA on the tiny model, as PEFT computes them."""

import hashlib
import json
import tempfile
from pathlib import Path

import numpy
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from safetensors import safe_open

import plain_orpo
import trl_orpo

LAST = 3


def adapter_of(file):
    """The random adapter of a case, by PEFT's keys."""
    with safe_open(file, 'pt') as tensors:
        return {key: tensors.get_tensor(key) for key in tensors.keys() if key.startswith('base_model.')}


def rslora(directory, file, ids):
    """The case's adapter under use_rslora: its configuration as PEFT stores it, and logits of the last positions."""
    config = LoraConfig(task_type='CAUSAL_LM', use_rslora=True, **trl_orpo.LORA)
    model = get_peft_model(trl_orpo.load(directory), config).eval()
    set_peft_model_state_dict(model, adapter_of(file))
    with torch.no_grad():
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, -LAST:]
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        stored = json.loads((Path(folder) / 'adapter_config.json').read_text())
    stored['base_model_name_or_path'] = 'test/golden/tiny'
    stored['target_modules'].sort()  # PEFT stores a set
    about = f'logits of the last {LAST} of the ids of tiny.json, with the random adapter of tiny.safetensors'
    return {'about': about, 'adapter_config': stored, 'logits': logits.tolist()}


def philox(counters, key):
    """Philox4x32-10 (Salmon et al. 2011) of counters [n, 4] under a key of two words: [n, 4]."""
    low = numpy.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = counters.astype(numpy.uint64).T
    for round in range(10):
        k0 = numpy.uint64((key[0] + round * 0x9E3779B9) % 2**32)
        k1 = numpy.uint64((key[1] + round * 0xBB67AE85) % 2**32)
        a, b = c0 * numpy.uint64(0xD2511F53), c2 * numpy.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (b >> numpy.uint64(32)) ^ c1 ^ k0, b & low, (a >> numpy.uint64(32)) ^ c3 ^ k1, a & low
    return numpy.stack([c0, c1, c2, c3], 1)


def words(seed, path, count):
    """The first `count` 32-bit words of a stream: gpu-runtime/random.ts."""
    digest = hashlib.sha256(f'{seed}\n{path}'.encode()).digest()
    key = int.from_bytes(digest[:4], 'little'), int.from_bytes(digest[4:8], 'little')
    counters = numpy.zeros((-(-count // 4), 4), dtype=numpy.uint64)
    counters[:, 0] = numpy.arange(len(counters))
    return philox(counters, key).reshape(-1)[:count].astype(numpy.uint32)


class Drop(torch.nn.Module):
    """In place of the Dropout of the linear at `path`: the features that gpu-runtime/lora/dropout.ts drops."""

    tokens = None  # two words of each token of the sequence that is being computed, [T, 2] uint32

    def __init__(self, path, p):
        super().__init__()
        self.path, self.p = path, p

    def forward(self, x):
        a, b, c, d = words(0, f'dropout/{self.path}', 4)
        f, g = words(0, 'dropout/features', 2 * x.shape[-1]).reshape(-1, 2).T
        u, v = Drop.tokens[:, :1] * (a | 1) + b, Drop.tokens[:, 1:] * (c | 1) + d
        coin = ((u + f) * (v + g)).astype(numpy.int32)
        kept = torch.from_numpy(coin > round(self.p * 2**32) - 2**31 - 1)
        return x * kept / (1 - self.p)


class Rows(torch.nn.Module):
    """A model that is told, before each sequence, the words of its tokens."""

    def __init__(self, model, pairs, seed, step):
        super().__init__()
        self.model, self.order = model, []
        for row, pair in enumerate(pairs):
            for segment, side in enumerate(('chosen', 'rejected'), 1):
                parts = [(0, len(pair['prompt'])), (segment, len(pair[side]))]
                drawn = [words(seed, f'dropout/{step}/{row}/{s}', 2 * n).reshape(-1, 2) for s, n in parts]
                self.order.append(numpy.concatenate(drawn))

    def forward(self, ids, **options):
        Drop.tokens = self.order.pop(0)
        return self.model(ids, **options)


def dropout(directory, file, pairs, p=0.3, seed=7, step=3):
    """Loss and gradients of pairs 0 and 1 under the case's adapter, with fixed masks. Returns JSON and tensors."""
    config = LoraConfig(task_type='CAUSAL_LM', **{**trl_orpo.LORA, 'lora_dropout': p})
    model = get_peft_model(trl_orpo.load(directory), config).train()
    set_peft_model_state_dict(model, adapter_of(file))
    for path, module in model.get_base_model().named_modules():
        if hasattr(module, 'lora_dropout'):
            assert module.lora_dropout['default'].p == p
            module.lora_dropout['default'] = Drop(path, p)
    told = Rows(model, pairs[:2], seed, step)
    loss, parts = plain_orpo.orpo(told, pairs[:2], trl_orpo.SETTINGS['beta'], 'prompt and answer')
    assert not told.order
    loss.backward()
    about = 'pairs 0 and 1 of tiny.json with the random adapter of tiny.safetensors; gradients of loss by KEY in dropout.safetensors'
    content = {'about': about, 'p': p, 'seed': seed, 'step': step, 'loss': parts['loss'], 'nll_loss': parts['nll_loss']}
    return content, trl_orpo.gradients(model)
