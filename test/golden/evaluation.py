"""
Makes evaluation.json: what lm-evaluation-harness itself asks and computes. Not run by the tests.

    the packages of test/gpu-runtime/reference.py, then
    OMP_NUM_THREADS=1 python test/golden/evaluation.py

Rows come from $ODDSMITH_SHARED (default ../shared beside the repository); of them only hashes are kept. The harness' own
YAML files are pointed at them: nothing but where rows come from is overridden. Where a row file is of another task, it has
the same columns. Seconds for a task, a minute for wikitext's log-likelihoods.

    requests        by variant: sha256 of json.dumps of all [context, continuation], [context, until] or [text], of every document
                    without examples ("zero"), else of the first 20
    results         with log-likelihoods -random.random() of random.seed(42) over all documents, none of them greedy
    logLikelihoods  of stories260K, the first documents (those of NOUS in the order of Random(42)), without BOS for NOUS
"""

import hashlib
import json
import os
import random
import re
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

CACHE = tempfile.TemporaryDirectory()
os.environ |= {'HF_HUB_OFFLINE': '1', 'TOKENIZERS_PARALLELISM': 'false', 'HF_DATASETS_CACHE': CACHE.name}
sys.dont_write_bytecode = True

from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean, stderr_for_metric
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get('ODDSMITH_SHARED', HERE.parent.parent.parent / 'shared')) / 'data'
STORIES = DATA / 'stories260K/hf-derived'
SYSTEM = 'You are asked what a child would know.'
FIRST = 20
SCORED = 3

# LAMBADA has the one column text. Written for this test.
PASSAGES = [
    'Anna had lost her red ball behind the shed, and all day long nobody could find the ball',
    'The baker gave each of the children a warm roll, and Tom, who had come last, got the smallest roll',
    '"Where is my hat?" asked the old man, though everyone could see that he wore the hat',
    'It rained and rained, and when the sun came out at last the whole village was glad of the sun',
    'Ben wanted a dog more than anything, so for his birthday his parents gave him a  dog',
    'She tasted the soup, made a face, and asked the cook what he had put into the soup',
]


def jsonl(path):
    with open(DATA / path, encoding='utf-8') as file:
        return [json.loads(line) for line in file]


def pages(path):
    """As EleutherAI/wikitext_document_level divides them."""
    found, page = [], []
    for line in (DATA / path).read_text(encoding='utf-8').split('\n'):
        joined = line.replace('= = =', '===').replace('= =', '==').strip()
        if joined.startswith('= ') and joined.endswith(' ='):
            found.append('\n'.join(page))
            page = []
        page.append(line)
    return [{'page': page} for page in [*found, '\n'.join(page)] if page.strip()]


NOUS = 'nous-normalised/'
AGIEVAL = {
    'aqua_rat': 'aqua_rat',
    'logiqa_en': 'aqua_rat',
    'lsat_ar': 'lsat_ar',
    'lsat_lr': 'lsat_ar',
    'lsat_rc': 'sat_en',
    'sat_en': 'sat_en',
    'sat_en_without_passage': 'sat_math',
    'sat_math': 'sat_math',
}
# By our name: the file of rows, and of which of them, from where to where, examples are drawn (null: the task takes none;
# 'rows': its own file).
TASKS = {
    'arc_easy': (NOUS + 'arc_easy.test.jsonl', [0, None]),
    'arc_challenge': (NOUS + 'arc_easy.test.jsonl', [-100, None]),
    'openbookqa': (NOUS + 'openbookqa.test.jsonl', [-20, None]),
    'boolq': (NOUS + 'boolq.validation.jsonl', [-100, None]),
    'hellaswag': ('hellaswag/val_first500.jsonl', [-100, None]),
    # So few that the question is often among those that are drawn.
    'piqa': (NOUS + 'piqa.validation.jsonl', [0, 8]),
    'winogrande': (NOUS + 'winogrande.validation.jsonl', [-100, None]),
    'truthfulqa_mc1': (NOUS + 'truthfulqa_mc.validation.jsonl', None),
    'truthfulqa_mc2': (NOUS + 'truthfulqa_mc.validation.jsonl', None),
    **{f'agieval_{name}': (f'{NOUS}agieval_{rows}.jsonl', None) for name, rows in AGIEVAL.items()},
    'lambada_openai': (PASSAGES, 'rows'),
    'wikitext': ('wikitext-2-raw/wiki.test.raw.reconstructed', None),
}
VARIANTS = {
    'zero': {},
    'few': {'num_fewshot': 3},
    'fewSystem': {'num_fewshot': 2, 'seed': 7, 'system_instruction': SYSTEM},
    'system': {'system_instruction': SYSTEM},
    'chat': {'apply_chat_template': True},
    'chatSystem': {'apply_chat_template': True, 'system_instruction': SYSTEM},
    'chatFew': {'num_fewshot': 2, 'apply_chat_template': True, 'system_instruction': SYSTEM},
    'chatTurns': {'num_fewshot': 2, 'seed': 7, 'apply_chat_template': True, 'fewshot_as_multiturn': True},
}


def template(messages, add_generation_prompt=True):
    """Plain enough to be written in any language."""
    said = ''.join(f'<{m["role"]}>{m["content"]}</>' for m in messages)
    return said + ('<assistant>' if add_generation_prompt else '')


def read(rows):
    if isinstance(rows, list):
        return [{'text': text} for text in rows]
    return pages(rows) if '.raw' in rows else jsonl(rows)


def load(manager, name, rows, examples, folder):
    """The harness' task on these rows: its own splits keep their names."""
    entry = manager._entry(name)
    config = manager._factory._load_full_config(entry)
    found = read(rows)
    splits = {config.get('test_split') or config['validation_split']: found}
    if config.get('training_split'):
        splits[config['training_split']] = found[slice(*examples)] if isinstance(examples, list) else found
    return manager._factory.build(entry, overrides=source(folder, splits), registry=manager._index)


def source(folder, splits):
    files = {}
    for split, rows in splits.items():
        files[split] = str(Path(tempfile.mkdtemp(dir=folder)) / f'{split}.jsonl')
        Path(files[split]).write_text(''.join(json.dumps(row) + '\n' for row in rows), encoding='utf-8')
    return {'dataset_path': 'json', 'dataset_name': None, 'dataset_kwargs': {'data_files': files}}


def ask(task, num_fewshot=0, seed=1234, limit=None, **style):
    task.set_config('num_fewshot', num_fewshot)
    task.set_fewshot_seed(seed)
    task.build_all_requests(limit=limit, chat_template=template, **style)
    return task.instances


def arguments(instance):
    context, *rest = instance.args
    return [context, *(r['until'] if isinstance(r, dict) else r for r in rest)]


def digest(instances):
    return hashlib.sha256(json.dumps([arguments(i) for i in instances], sort_keys=True).encode()).hexdigest()


def results(task, instances):
    """Over all documents; standard errors of means."""
    random.seed(42)
    answers, documents = {}, {}
    for instance in instances:
        ll = -random.random()
        answers.setdefault(instance.doc_id, []).append(ll if task.OUTPUT_TYPE == 'loglikelihood_rolling' else (ll, False))
        documents[instance.doc_id] = instance.doc
    values = {}
    for i, document in documents.items():
        for metric, value in task.process_results(document, answers[i]).items():
            values.setdefault(metric, []).append(value)
    found = {}
    for metric, items in values.items():
        aggregate = task.aggregation()[metric]
        found[metric] = float(aggregate(items))
        if aggregate is mean:
            found[f'{metric}_stderr'] = float(stderr_for_metric(mean, 1)(items))
    return found


def by_document(instances):
    documents = {}
    for instance in instances:
        documents.setdefault(instance.doc_id, []).append(instance)
    return documents


def log_likelihoods(harness, task, instances, documents):
    found = by_document(instances)
    asked = [i for d in documents for i in found[d]]
    if task.OUTPUT_TYPE == 'loglikelihood_rolling':
        return [[ll] for ll in harness.loglikelihood_rolling(asked)]
    answers = iter(harness.loglikelihood(asked))
    return [[next(answers)[0] for _ in found[d]] for d in documents]


def main():
    tokenizer = PreTrainedTokenizerFast.from_pretrained(STORIES)
    model = LlamaForCausalLM.from_pretrained(STORIES, attn_implementation='eager').eval()
    harness = {
        dialect: HFLM(pretrained=model, tokenizer=tokenizer, backend='causal', batch_size=1, add_bos_token=bos)
        for dialect, bos in (('LM_EVAL', True), ('NOUS', False))
    }
    made = {'by': 'test/golden/evaluation.py', **{p: version(p) for p in ('lm_eval', 'datasets', 'torch', 'transformers')}}
    golden = {'made': made, 'system': SYSTEM, 'passages': PASSAGES, 'variants': VARIANTS, 'tasks': {}}
    both = []
    manager = TaskManager()
    for name, (rows, examples) in TASKS.items():
        task = load(manager, name, rows, examples, CACHE.name)
        whole = task.OUTPUT_TYPE == 'loglikelihood_rolling'
        instances = ask(task)
        requests = {'zero': digest(instances)}
        for variant, style in VARIANTS.items():
            if not style or whole or ('num_fewshot' in style and examples is None):
                continue
            requests[variant] = digest(ask(task, limit=FIRST, **style))
        count = len(by_document(instances))
        golden['tasks'][name] = {
            'rows': rows if isinstance(rows, str) else None,
            'examples': examples,
            'documents': count,
            'requests': requests,
            'results': results(task, instances),
            'logLikelihoods': log_likelihoods(harness['LM_EVAL'], task, instances, range(min(SCORED, count))),
        }
        if name.startswith('truthfulqa'):
            shuffled = list(range(count))
            random.Random(42).shuffle(shuffled)
            both.append(log_likelihoods(harness['NOUS'], task, instances, shuffled[:SCORED]))
        print(name, count, list(requests), golden['tasks'][name]['results'], flush=True)
    golden['truthfulqa_mc'] = [mc1 + mc2 for mc1, mc2 in zip(*both, strict=True)]
    (HERE / 'evaluation.json').write_text(json.dumps(golden, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
