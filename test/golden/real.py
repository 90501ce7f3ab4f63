"""
Makes smollm2.json and smollm2.safetensors: TRL's and lm-evaluation-harness's numbers on SmolLM2-135M-Instruct.

Beside what make.py needs (its first lines), lm-eval==0.4.13, Node and $ODDSMITH_SHARED (default ../shared, beside
the repository):

    python $ODDSMITH_SHARED/tools/smollm2.py DIR
    python test/golden/real.py DIR

About a minute. The weights are bfloat16 and computed in float32. Token ids, the adapter and the direction `probe`
are ours: test/realModel/dump.ts makes them, PEFT loads them. Documents go to the harness as text.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import make  # first: it sets the environment of the libraries

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from peft import PeftModel, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast

import plain_orpo
import trl_orpo

SEED = 505
BETA = 0.1
trl_orpo.LORA |= {'r': 16, 'lora_alpha': 32}
# The rate is large enough for three steps to show in every metric.
TRAINING = trl_orpo.SETTINGS | {
    'per_device_train_batch_size': 1,
    'gradient_accumulation_steps': 2,
    'max_steps': 3,
    'max_grad_norm': 1.0,
    'learning_rate': 5e-4,
    'warmup_steps': 0,
}
WHOLE = [  # gradients kept in full
    'layers.0.self_attn.q_proj.lora_A',
    'layers.15.mlp.gate_proj.lora_B',
    'layers.29.mlp.down_proj.lora_A',
]
TASKS = {
    'arc_easy': lambda row: f'Question: {row["question"]}\nAnswer:',
    'openbookqa': lambda row: row['question_stem'],
}


def inputs(directory):
    """Pairs, adapter and probe from our side, and the adapter's directory."""
    out = Path(tempfile.mkdtemp())
    subprocess.run(['node', make.HERE.parent / 'realModel/dump.ts', directory, out], check=True)
    pairs = json.loads((out / 'pairs.json').read_text())
    adapter, probe = (load_file(out / name / 'adapter_model.safetensors') for name in ('adapter', 'probe'))
    return pairs, adapter, probe, out / 'adapter'


def trainer(directory, pairs, adapter, settings):
    run = trl_orpo.trainer(trl_orpo.load(directory), pairs, SEED, settings)
    set_peft_model_state_dict(run.model, adapter)
    make.check('adapter as loaded', trl_orpo.adapter(run.model), adapter, 0)
    return run


def micro_batch(directory, pairs, adapter):
    """TRL's loss and gradients for both pairs together, checked by the plain code, which adds the parts."""
    run = trainer(directory, pairs, adapter, trl_orpo.SETTINGS)
    metrics, grad, _ = trl_orpo.micro_batch(run)
    run.model.zero_grad()
    loss, plain = plain_orpo.orpo(run.model, pairs, BETA, 'prompt and answer')
    loss.backward()
    for key in ('loss', 'nll_loss'):
        error = abs(plain[key] / metrics[key] - 1)
        assert error < 1e-6, f'{key}: plain code says {plain[key]}, TRL {metrics[key]}'
    make.check('gradients of the plain code against TRL', trl_orpo.gradients(run.model), grad, 1e-4)
    per_pair = {key: value for key, value in plain['per_pair'].items() if 'token' not in key}
    return {'beta': BETA, 'metrics': metrics, 'per_pair': per_pair}, grad


def log_likelihoods(model, directory):
    """Of each task's first five documents: the harness's log-likelihood of every choice."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(directory)
    harness = HFLM(pretrained=model.eval(), tokenizer=tokenizer, backend='causal', batch_size=1)
    found = {}
    for task, context in TASKS.items():
        with open(make.SHARED / f'data/nous-normalised/{task}.test.jsonl', encoding='utf-8') as file:
            rows = [json.loads(file.readline()) for _ in range(5)]
        found[task] = []
        for row in rows:
            texts = [(context(row), f' {choice}') for choice in row['choices']['text']]
            requests = [Instance('loglikelihood', row, pair, i) for i, pair in enumerate(texts)]
            found[task].append([sum_ for sum_, _ in harness.loglikelihood(requests, disable_tqdm=True)])
    return found


def main(directory):
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    pairs, adapter, probe, adapter_directory = inputs(directory)
    orpo, grad = micro_batch(directory, pairs, adapter)
    run = trainer(directory, pairs, adapter, TRAINING)
    steps = trl_orpo.train(run)
    base = trl_orpo.load(directory)
    scores = {'base': log_likelihoods(base, directory)}
    scores['adapter'] = log_likelihoods(PeftModel.from_pretrained(base, adapter_directory), directory)

    weights = hashlib.sha256((Path(directory) / 'model.safetensors').read_bytes()).hexdigest()
    made = make.made(SEED) | {'by': 'test/golden/real.py', 'lm_eval': version('lm_eval')}
    norms = {
        key: [g.double().norm().item(), (g.double() * probe[key].double()).sum().item()]
        for key, g in sorted(grad.items())
    }
    ids = [{key: pair[key] for key in ('row', 'prompt', 'chosen', 'rejected', 'cut')} for pair in pairs]
    content = {
        'made': made,
        'weights_sha256': weights,
        'lora': trl_orpo.LORA,
        'pairs': ids,
        'orpo': orpo,
        'gradients': norms,
        'training': {'settings': TRAINING, 'steps': steps},
        'log_likelihoods': scores,
    }
    make.write('smollm2', content)
    whole = {key: grad[key].contiguous() for key in grad if any(part in key for part in WHOLE)}
    assert len(whole) == len(WHOLE)
    path = make.HERE / 'smollm2.safetensors'
    save_file(whole, path, {'made': json.dumps(made)})
    path.chmod(0o644)


if __name__ == '__main__':
    main(sys.argv[1])
