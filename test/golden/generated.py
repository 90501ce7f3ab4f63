"""
Makes generated.json: what transformers generates greedily from the models of the other golden files, without and with their random
adapter, one prompt at a time.

Run like make.py, whose helpers it uses, and after it and families.py: python test/golden/generated.py; about a minute.
"""

import json

import make  # first: sets the environment that transformers reads
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file

import trl_orpo

NEW = 40
# Other tokens of near-equal logits would make ids a matter of rounding.
MARGIN = 1e-3
CASES = ['tiny', 'tiny-llama3'] + sorted(
    f'families/{path.stem}' for path in (make.HERE / 'families').glob('*.json')
)


def greedy(model, prompt):
    """The new ids, and the least by which a chosen logit exceeded the next."""
    out = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=NEW,
        min_new_tokens=0,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
        return_dict_in_generate=True,
        output_logits=True,
    )
    best = torch.stack([logits[0].topk(2).values for logits in out.logits])
    return out.sequences[0, len(prompt) :].tolist(), (best[:, 0] - best[:, 1]).min().item()


def case(name):
    golden = json.loads((make.HERE / f'{name}.json').read_text())
    ids = golden['ids']
    candidates = [ids[:1], ids[2:9], ids, ids[5:20], ids[1:4], ids[10:22], ids[7:8]]
    model = trl_orpo.load(make.HERE / name).eval()
    base = [greedy(model, prompt) for prompt in candidates]
    tensors = load_file(make.HERE / f'{name}.safetensors')
    tuned = get_peft_model(model, LoraConfig(task_type='CAUSAL_LM', **golden['lora'])).eval()
    set_peft_model_state_dict(
        tuned, {key: value for key, value in tensors.items() if key.startswith('base_model')}
    )
    adapted = [greedy(tuned, prompt) for prompt in candidates]
    clear = [i for i in range(len(candidates)) if min(base[i][1], adapted[i][1]) > MARGIN][:4]
    assert len(clear) >= 3, f'{name}: {len(clear)} prompts whose tokens are clear'
    assert all(base[i][0] != adapted[i][0] for i in clear), f'{name}: the adapter changes nothing'
    return {
        'prompts': [candidates[i] for i in clear],
        'base': [base[i][0] for i in clear],
        'adapter': [adapted[i][0] for i in clear],
        'margin': min(min(base[i][1], adapted[i][1]) for i in clear),
    }


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    made = {**make.made(None), 'by': 'test/golden/generated.py'}
    make.write('generated', {'made': made, 'cases': {name: case(name) for name in CASES}})


if __name__ == '__main__':
    main()
