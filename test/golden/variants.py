"""Variants of LoRA on the tiny model, as PEFT computes them."""

import json
import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from safetensors import safe_open

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
