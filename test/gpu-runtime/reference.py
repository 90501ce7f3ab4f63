"""
Makes reference.json: what transformers, TRL and lm-evaluation-harness compute for the runtime's leaf modules. Not run by the tests.

    python3 -m venv .reference && . .reference/bin/activate
    pip install torch==2.13.0
    pip install transformers==5.24.0 trl==1.16.0 peft==0.21.2 accelerate==1.15.0 datasets==5.2.0 lm-eval==0.4.13
    ODDSMITH_SMOLLM2=DIR python test/gpu-runtime/reference.py

DIR is SmolLM2-135M-Instruct in Hugging Face layout; rows and the stories260K tokenizer come from $ODDSMITH_SHARED (default
../shared beside the repository). Texts are not copied: of token ids only counts and the sha256 of their JSON are kept.

    frequencies  inverse frequencies of the rotary embedding (float32), by transformers' LlamaRotaryEmbedding
    pairs        of each preference row that fits into 1024 tokens: the ids of TRL's ORPOTrainer.tokenize_row, max_length 100000
    requests     of documents of arc_easy and openbookqa: HFLM._encode_pair of each choice, for a tokenizer without and with BOS
"""

import hashlib
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

os.environ |= {'HF_HUB_OFFLINE': '1', 'TOKENIZERS_PARALLELISM': 'false'}
sys.dont_write_bytecode = True

from lm_eval.models.huggingface import HFLM
from transformers import LlamaConfig, PreTrainedTokenizerFast
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from trl.data_utils import extract_prompt, maybe_apply_chat_template
from trl.experimental.orpo import ORPOTrainer

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get('ODDSMITH_SHARED', HERE.parent.parent.parent / 'shared'))
# Not AutoTokenizer: for SmolLM2 it takes transformers 5's GPT2Tokenizer, which builds its own pre-tokenizer and so ignores the
# Digits step of tokenizer.json that the model was trained with.
TOKENIZERS = {
    'smollm2': PreTrainedTokenizerFast.from_pretrained(os.environ['ODDSMITH_SMOLLM2']),
    'stories260K': PreTrainedTokenizerFast.from_pretrained(SHARED / 'data/stories260K/hf-derived'),
}
LLAMA3 = {'rope_type': 'llama3', 'low_freq_factor': 1.0, 'high_freq_factor': 4.0, 'original_max_position_embeddings': 8192}
CONFIGS = {
    'plain': {'head_dim': 64, 'rope_theta': 100000.0},
    'llama-3.1-8b': {'head_dim': 128, 'rope_theta': 500000.0, 'rope_scaling': LLAMA3 | {'factor': 8.0}},
    'llama-3.2-1b': {'head_dim': 64, 'rope_theta': 500000.0, 'rope_scaling': LLAMA3 | {'factor': 32.0}},
    'new-form': {
        'head_dim': 16,
        'rope_parameters': LLAMA3 | {'factor': 8.0, 'rope_theta': 10000.0, 'original_max_position_embeddings': 32},
    },
}


def digest(value):
    return hashlib.sha256(json.dumps(value, separators=(',', ':')).encode()).hexdigest()


def rows(path):
    with open(SHARED / 'data' / path, encoding='utf-8') as file:
        return [json.loads(line) for line in file]


def frequencies(config):
    sizes = {'model_type': 'llama', 'vocab_size': 8, 'hidden_size': 64, 'intermediate_size': 8, 'num_hidden_layers': 1, 'num_attention_heads': 4}
    full = sizes | {'max_position_embeddings': 131072} | config
    return {'config': full, 'inverse': LlamaRotaryEmbedding(LlamaConfig(**full)).inv_freq.tolist()}


def pairs():
    tokenizer = TOKENIZERS['smollm2']
    trainer = SimpleNamespace(is_encoder_decoder=False, processing_class=tokenizer, max_length=100000)
    trainer.build_tokenized_answer = lambda prompt, answer: ORPOTrainer.build_tokenized_answer(trainer, prompt, answer)
    made = []
    for row, columns in enumerate(rows('preference-chatml/dpo_en_demo.chatml.jsonl')):
        example = extract_prompt({'chosen': columns['chosen'], 'rejected': columns['rejected']})
        ids = ORPOTrainer.tokenize_row(trainer, maybe_apply_chat_template(example, tokenizer))
        prompt = ids['prompt_input_ids']
        answers = [ids[f'{side}_input_ids'][len(prompt) :] for side in ('chosen', 'rejected')]
        assert all(ids[f'{side}_input_ids'][: len(prompt)] == prompt for side in ('chosen', 'rejected'))
        if len(prompt) + max(map(len, answers)) <= 1024:
            made.append([row, len(prompt), *map(len, answers), digest([prompt, *answers])])
    return made


def requests(name):
    model = HFLM.__new__(HFLM)
    model.tokenizer, model.backend, model.add_bos_token, model.custom_prefix_token_id = TOKENIZERS[name], 'causal', None, None
    made = {}
    for task, path, context in [
        ('arc_easy', 'nous-normalised/arc_easy.test.jsonl', lambda row: f'Question: {row["question"]}\nAnswer:'),
        ('openbookqa', 'nous-normalised/openbookqa.test.jsonl', lambda row: row['question_stem']),
    ]:
        made[task] = [
            digest([model._encode_pair(context(row), ' ' + choice) for choice in row['choices']['text']])
            for row in rows(path)[:100]
        ]
    blanks = [model._encode_pair('Once upon a time \n', choice) for choice in ('there was', 'a')]
    return made | {'trailing_blanks': blanks}


reference = {
    'versions': {name: version(name) for name in ('torch', 'transformers', 'tokenizers', 'trl', 'lm_eval')},
    'frequencies': {name: frequencies(config) for name, config in CONFIGS.items()},
    'pairs': {'columns': ['row', 'prompt', 'chosen', 'rejected', 'sha256'], 'rows': pairs()},
    'requests': {name: requests(name) for name in TOKENIZERS},
}
lines = [f'{json.dumps(key)}: {json.dumps(value)}' for key, value in reference.items()]
(HERE / 'reference.json').write_text('{\n' + ',\n'.join(lines) + '\n}\n')
