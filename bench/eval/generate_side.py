"""
transformers' side of generation: all prompts as one batch, padded on the left, per line of standard input.

    python generate_side.py '{"model": DIR, "dtype": "float32", "threads": 2, "maxTokens": 128, "prompts": [[1, 2], ...]}'

First line out: {"at"}, when the first batch was made; then seconds and new tokens per line.
"""

import json
import os
import sys
import time

out = os.fdopen(os.dup(1), 'w')
os.dup2(2, 1)  # what libraries print is not an answer

import torch
from transformers import AutoModelForCausalLM

options = json.loads(sys.argv[1])
torch.set_num_threads(options['threads'])
model = AutoModelForCausalLM.from_pretrained(options['model'], dtype=getattr(torch, options['dtype'])).eval()
# Nothing ends a sequence, so nothing is looked at to find an end; the library's own loop is faster than the harness's, which
# decodes every step to look for a text.
model.generation_config.eos_token_id = None
model.generation_config.pad_token_id = 0
prompts = options['prompts']
longest = max(map(len, prompts))
ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])


def say(**line):
    print(json.dumps(line), file=out, flush=True)


@torch.inference_mode()
def generate(most):
    begin = time.perf_counter()
    made = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=most)
    return time.perf_counter() - begin, made[:, longest:].tolist()


generate(8)  # warms up
say(at=time.time())
while sys.stdin.readline():
    seconds, tokens = generate(options['maxTokens'])
    say(seconds=seconds, tokens=tokens)
os._exit(0)
