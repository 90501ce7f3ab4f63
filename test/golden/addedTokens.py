"""
Makes addedTokens.json: what PEFT computes from adapters that the product stores, with rows of added tokens.

Not run by the tests. With the environment that make.py describes on its first lines, Node 24 and $ODDSMITH_SHARED:

    python test/golden/addedTokens.py

test/gpu-runtime/lora/added.ts writes four adapters. Each is loaded as a user does it: the base model, its embeddings resized
to the tokenizer of the adapter's folder (where it has none, to the size that is given), then PeftModel.from_pretrained. Per case:

    logits          of `ids`, at the last two positions
    chosen_logps .. ORPO of two pairs by plain_orpo.py, the norm of all gradients of LoRA, and `rows`: the gradients of the added
                    rows of embedding and head, [k, hidden] each, of a tied head's model their sum
    chat            of the case with a tokenizer: ids of a conversation by apply_chat_template, with the ids of its special tokens
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ |= {'HF_HUB_OFFLINE': '1', 'TRANSFORMERS_VERBOSITY': 'error'}
sys.dont_write_bytecode = True

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

import make
import plain_orpo

REPOSITORY = make.HERE.parent.parent
CHAT = [
    {'role': 'system', 'content': 'Be brief.'},
    {'role': 'user', 'content': 'One day, a big dog'},
    {'role': 'assistant', 'content': 'saw a <|im_end|> cat.'},
]


def chat(tokenizer):
    def ids(messages, prompt):
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
        return tokenizer(text, add_special_tokens=False)['input_ids']

    special = {name: getattr(tokenizer, f'{name}_token_id') for name in ('bos', 'eos', 'pad')}
    return {'messages': CHAT, 'whole': ids(CHAT, False), 'prompt': ids(CHAT[:2], True), **special, 'size': len(tokenizer)}


def case(directory):
    inputs = json.loads((directory / 'inputs.json').read_text())
    made = {}
    rows = inputs['rows']
    if (directory / 'tokenizer.json').exists():
        tokenizer = AutoTokenizer.from_pretrained(directory)
        assert len(tokenizer) == rows, f'{len(tokenizer)} tokens, the adapter has {rows} rows'
        made['chat'] = chat(tokenizer)
    base = AutoModelForCausalLM.from_pretrained(inputs['model'], dtype=torch.float32, attn_implementation='eager')
    tied = base.config.tie_word_embeddings
    base.resize_token_embeddings(rows)
    model = PeftModel.from_pretrained(base, directory, is_trainable=True)
    saved = {name: p for name, p in model.named_parameters() if 'modules_to_save' in name}
    assert len(saved) == 2 and all(p.requires_grad for p in saved.values()), saved.keys()
    with torch.no_grad():
        logits = model(torch.tensor([inputs['ids']]), use_cache=False).logits[0, -2:]
    loss, parts = plain_orpo.orpo(model, inputs['pairs'], 0.1, 'prompt and answer')
    loss.backward()
    added = inputs['addedTokens']
    [embedding, head] = [next(p.grad for n, p in saved.items() if part in n)[-added:] for part in ('embed_tokens', 'lm_head')]
    lora = [p.grad.flatten().double() for n, p in model.named_parameters() if 'lora_' in n]
    return {
        **made,
        'logits': logits.tolist(),
        'loss': parts['loss'],
        'nll_loss': parts['nll_loss'],
        'chosen_logps': parts['per_pair']['chosen_logps'],
        'rejected_logps': parts['per_pair']['rejected_logps'],
        'grad_norm': torch.cat(lora).norm().item(),
        'mean_logits': parts['logits_means']['predicting'],
        'rows': [(embedding + head).tolist()] if tied else [embedding.tolist(), head.tolist()],
    }


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(['node', 'test/gpu-runtime/lora/added.ts', folder], cwd=REPOSITORY, check=True)
        cases = {path.name: case(path) for path in sorted(Path(folder).iterdir())}
    make.write('addedTokens', {'made': make.made(606) | {'by': 'test/golden/addedTokens.py'}, 'cases': cases})


if __name__ == '__main__':
    main()
