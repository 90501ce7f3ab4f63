"""
Makes dialects.json: token ids and labels of a few preference rows as TRL 1.16 and TRL 0.8.6 make them, by their own code.

Not run by the tests. With the environment that make.py describes on its first lines, and the older release as a wheel, whose
two methods are taken from its source, since it cannot be imported beside current transformers:

    pip download --no-deps --dest WHEELS trl==0.8.6
    TRL_0_8=WHEELS/trl-0.8.6-py3-none-any.whl python test/golden/dialects.py

Rows are made up here. Tokenizers: the demo model's, and of $ODDSMITH_SHARED (default ../shared) stories260K's and GPT-2's,
which get a template from here. `reads[dialect]` of a row is [chosen ids, its labels that are -100, rejected ids, its labels
that are -100], or the error that TRL raises.
"""

import ast
import json
import os
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

os.environ |= {'HF_HUB_OFFLINE': '1', 'TRANSFORMERS_VERBOSITY': 'error', 'TRL_EXPERIMENTAL_SILENCE': '1'}
sys.dont_write_bytecode = True

import numpy
from accelerate import PartialState
from transformers import PreTrainedTokenizerFast
from trl.data_utils import maybe_apply_chat_template, maybe_extract_prompt
from trl.experimental.orpo import ORPOTrainer

import make

REPOSITORY = make.HERE.parent.parent
ZOO = json.loads((REPOSITORY / 'demo/zoo-334k/tokenizer_config.json').read_text())
# No special token at the border of prompt and answer: tokens merge over it.
PLAIN = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)
TRIMMING = (
    "{{ bos_token }}{% for message in messages %}{{ '[' + message['role'] + ']' + message['content'] | trim + eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"
)
TOKENIZERS = {  # name: tokenizer.json, special tokens and template; $ stands for the shared data
    'zoo': ('demo/zoo-334k/tokenizer.json', {key: ZOO[key] for key in ('bos_token', 'eos_token', 'chat_template')}),
    'stories260K': (
        '$/data/stories260K/hf-derived/tokenizer.json',
        {'bos_token': '<s>', 'eos_token': '</s>', 'chat_template': TRIMMING},
    ),
    'gpt2': (
        '$/data/tokenizers/gpt2/tokenizer.clean.json',
        {'bos_token': '<|endoftext|>', 'eos_token': '<|endoftext|>', 'chat_template': PLAIN},
    ),
}


def user(content):
    return {'role': 'user', 'content': content}


def assistant(content):
    return {'role': 'assistant', 'content': content}


ASKED = user('Which is bigger, the mouse or the bear?')
ROWS = {
    'messages and a prompt column of text, as orpo-dpo-mix-40k': {
        'prompt': ASKED['content'],
        'chosen': [ASKED, assistant('the bear')],
        'rejected': [ASKED, assistant('the mouse, of course')],
    },
    'messages only': {
        'chosen': [ASKED, assistant('the bear')],
        'rejected': [ASKED, assistant('the mouse')],
    },
    'several turns, the prompt column has them all': {
        'prompt': [ASKED, assistant('the bear'), user('And the lion?')],
        'chosen': [assistant('smaller than the bear ')],
        'rejected': [assistant('it is the bear')],
    },
    'a prompt that ends in an answer': {
        'prompt': [ASKED, assistant('the bear ')],
        'chosen': [assistant('is bigger')],
        'rejected': [assistant('is smaller')],
    },
    'a prompt column that repeats the messages': {
        'prompt': [ASKED],
        'chosen': [ASKED, assistant('the bear')],
        'rejected': [ASKED, assistant('the mouse')],
    },
    'texts': {'prompt': 'the bear is ', 'chosen': 'bigger', 'rejected': 'smaller'},
    'texts that merge with the prompt on one side': {
        'prompt': 'One day the bear said that it was bl',
        'chosen': 'ack and big',
        'rejected': '... and then it went away',
    },
    'texts that merge with the prompt on both sides': {
        'prompt': 'One day the bear said that it was bl',
        'chosen': 'ack and big',
        'rejected': 'ue and small',
    },
    'a system message only': {
        'prompt': [{'role': 'system', 'content': 'Be short.'}],
        'chosen': [assistant('the bear')],
        'rejected': [assistant('the mouse')],
    },
}
# (max_length, max_prompt_length): nothing is cut; some prompts and answers are; prompts alone are too long.
LENGTHS = [(1024, 512), (40, 12), (16, 8)]


class Old:
    """The two methods of TRL 0.8.6's ORPOTrainer, compiled from its source."""

    def __init__(self, wheel):
        source = zipfile.ZipFile(wheel).read('trl/trainer/orpo_trainer.py').decode()
        [trainer] = [n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == 'ORPOTrainer']
        wanted = [n for n in trainer.body if getattr(n, 'name', None) in ('build_tokenized_answer', 'tokenize_row')]
        for function in wanted:
            function.returns = None
            for argument in function.args.args:
                argument.annotation = None
        scope = {'np': numpy}
        exec(compile(ast.Module(wanted, []), 'trl-0.8.6', 'exec'), scope)
        self.answer, self.row = scope['build_tokenized_answer'], scope['tokenize_row']

    def read(self, tokenizer, columns, max_length, max_prompt_length):
        def text(column):  # the article's own step: apply_chat_template(row["chosen"], tokenize=False)
            return column if isinstance(column, str) else tokenizer.apply_chat_template(column, tokenize=False)

        trainer = SimpleNamespace(
            is_encoder_decoder=False,
            tokenizer=tokenizer,
            max_length=max_length,
            max_prompt_length=max_prompt_length,
            truncation_mode='keep_end',
            label_pad_token_id=-100,
        )
        trainer.build_tokenized_answer = lambda prompt, answer: self.answer(trainer, prompt, answer)
        return self.row(trainer, {**columns, 'chosen': text(columns['chosen']), 'rejected': text(columns['rejected'])})


def current(tokenizer, columns, max_length, _):
    trainer = SimpleNamespace(is_encoder_decoder=False, processing_class=tokenizer, max_length=max_length)
    trainer.build_tokenized_answer = lambda prompt, answer: ORPOTrainer.build_tokenized_answer(trainer, prompt, answer)
    example = maybe_apply_chat_template(maybe_extract_prompt(columns), tokenizer)
    return ORPOTrainer.tokenize_row(trainer, example)


def compact(read, *arguments):
    try:
        batch = read(*arguments)
    except Exception as error:
        return f'{type(error).__name__}: {error}'.splitlines()[0]
    found = []
    for side in ('chosen', 'rejected'):
        ids, labels = batch[f'{side}_input_ids'], batch[f'{side}_labels']
        outside = labels.count(-100)
        assert labels == [-100] * outside + ids[outside:]
        found += [ids, outside]
    return found


def main():
    PartialState()  # TRL's logger wants it
    old = Old(os.environ['TRL_0_8'])
    made = make.made(None) | {'by': 'test/golden/dialects.py', 'older trl': '0.8.6'}
    content = {'made': made, 'rows': ROWS, 'tokenizers': {}}
    for name, (path, settings) in TOKENIZERS.items():
        file = path.replace('$', str(make.SHARED)) if path.startswith('$') else str(REPOSITORY / path)
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=file, **settings)
        cases = []
        for row, columns in ROWS.items():
            for lengths in LENGTHS:
                reads = {
                    'TRL_1': compact(current, tokenizer, columns, *lengths),
                    'TRL_0_8': compact(old.read, tokenizer, columns, *lengths),
                }
                cases.append({'row': row, 'lengths': lengths, 'reads': reads})
        content['tokenizers'][name] = {'file': path, 'settings': settings, 'cases': cases}
    make.write('dialects', content)


if __name__ == '__main__':
    main()
