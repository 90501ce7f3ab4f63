"""
Makes completions.json: what lm-evaluation-harness' HFLM.generate_until gives for prompts and stop texts, greedily and one prompt at
a time, from the stories260K model, and the prompts' tokens as it encodes them.

Run like make.py, with ODDSMITH_SHARED: python test/golden/completions.py; about a minute.
"""

import json
import os
from pathlib import Path

import make  # first: sets the environment that transformers reads
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

MODEL = Path(os.environ['ODDSMITH_SHARED']) / 'data/stories260K/hf-derived'
TOKENS = 48
CONTEXTS = ['Once upon a time', 'Lily and Tom', 'The dog saw a', 'One day, a boy named Tim', 'Mom said, "']
# The last but one overlaps with itself in another order; the last is never said.
UNTIL = [['.'], ['\n', '!'], [' the', 'the big'], ['ed to', 'd'], ['" ', 'She'], ['zebra']]


def main():
    lm = HFLM(pretrained=str(MODEL), device='cpu', dtype='float32', batch_size=1)
    instances = [
        Instance('generate_until', {}, (context, {'until': list(until), 'max_gen_toks': TOKENS, 'do_sample': False}), i)
        for i, (until, context) in enumerate((u, c) for u in UNTIL for c in CONTEXTS)
    ]
    texts = lm.generate_until(instances, disable_tqdm=True)
    cases = [
        {'until': until, 'texts': texts[i * len(CONTEXTS) : (i + 1) * len(CONTEXTS)]}
        for i, until in enumerate(UNTIL)
    ]
    prompts = [lm.tok_batch_encode([c], left_truncate_len=512 - TOKENS)[0][0].tolist() for c in CONTEXTS]
    out = {'maxTokens': TOKENS, 'prompts': prompts, 'cases': cases}
    (make.HERE / 'completions.json').write_text(json.dumps(out, indent=1, ensure_ascii=False) + '\n')


main()
