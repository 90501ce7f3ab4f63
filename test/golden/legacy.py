"""
Makes legacy.json: what lm-evaluation-harness 0.3.0 asks, of which the Nous suite's fork is made. Not run by the tests.

    pip download --no-deps lm-eval==0.3.0, unpacked to DIR (it needs older packages than are at hand, so only its base class and
    the modules of these tasks are imported, and its evaluator's loop is written again below)
    python test/golden/legacy.py DIR

Rows are those of evaluation.json, read from $ODDSMITH_SHARED (default ../shared beside the repository).

    requests   "zero": sha256 of json.dumps of all [context, continuation] or [text], "few": of the first 20 documents, with examples
    mmlu_anatomy   "few" of a subject of MMLU, with examples from dev
    results    with log-likelihoods -random.random() of random.seed(42), none of them greedy; standard errors of means
"""

import csv
import hashlib
import importlib
import json
import os
import random
import sys
import types
from pathlib import Path

sys.dont_write_bytecode = True
PACKAGE = Path(sys.argv[1])
sys.path.insert(0, str(PACKAGE))
HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get('ODDSMITH_SHARED', HERE.parent.parent.parent / 'shared')) / 'data'
GOLDEN = json.loads((HERE / 'evaluation.json').read_text(encoding='utf-8'))

import lm_eval

# The packages without their __init__, which import everything there is.
for name in ('tasks', 'datasets'):
    package = types.ModuleType(f'lm_eval.{name}')
    package.__path__ = [str(PACKAGE / 'lm_eval' / name)]
    sys.modules[f'lm_eval.{name}'] = package
# What is not there any more, or has a dataset loader's needs; the tasks below call nothing of it.
for name in (
    'lm_eval.datasets.lambada_openai',
    'lm_eval.datasets.lambada_openai.lambada_openai',
    'transformers.data.metrics',
    'transformers.data.metrics.squad_metrics',
):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__file__ = name
    parent, _, child = name.rpartition('.')
    setattr(importlib.import_module(parent), child, sys.modules[name])
lm_eval.datasets = sys.modules['lm_eval.datasets']

from lm_eval.metrics import mean, mean_stderr

FIRST = 20
# By our name: module, class, split of the questions, number of examples.
TASKS = {
    'arc_easy': ('arc', 'ARCEasy', 'test', 3),
    'arc_challenge': ('arc', 'ARCChallenge', 'test', 2),
    'openbookqa': ('openbookqa', 'OpenBookQA', 'test', 3),
    'boolq': ('superglue', 'BoolQ', 'validation', 2),
    'hellaswag': ('hellaswag', 'HellaSwag', 'validation', 3),
    'piqa': ('piqa', 'PiQA', 'validation', 2),
    'winogrande': ('winogrande', 'Winogrande', 'validation', 3),
    'lambada_openai': ('lambada', 'LambadaOpenAI', 'validation', 2),
}


def read(name):
    rows = GOLDEN['tasks'][name]['rows']
    if rows is None:
        return [{'text': text} for text in GOLDEN['passages']]
    # ARC's rows have an id on the Hub; its class copies it.
    with open(DATA / rows, encoding='utf-8') as file:
        return [{'id': None} | json.loads(line) for line in file]


def load(name, module, cls, split):
    """A task on these rows; its constructor would ask the Hub for them."""
    made = getattr(importlib.import_module(f'lm_eval.tasks.{module}'), cls)
    task = made.__new__(made)
    rows, examples = read(name), GOLDEN['tasks'][name]['examples']
    train = rows[slice(*examples)] if isinstance(examples, list) else rows
    task.dataset = {'train': train, split: rows}
    task._training_docs = task._fewshot_docs = None
    return task


def mmlu(subject):
    """Examples are of the validation split, whatever the class says of dev; the rows of dev stand in for it."""
    made = importlib.import_module('lm_eval.tasks.hendrycks_test').create_task(subject)
    task = made.__new__(made)
    task.dataset = {ours: table(DATA / f'mmlu/{split}/{subject}_{split}.csv') for ours, split in (('validation', 'dev'), ('test', 'test'))}
    task._training_docs = task._fewshot_docs = None
    return task


def table(path):
    with open(path, encoding='utf-8', newline='') as file:
        return [
            {'question': r['question'], 'choices': [r[f'choice{i}'] for i in range(4)], 'answer': int(r['answer'])}
            for r in csv.DictReader(file)
        ]


def ask(task, num_fewshot=0, limit=None):
    """The loop of lm_eval/evaluator.py: [document, requests] of each."""
    documents = list(task.test_docs() if task.has_test_docs() else task.validation_docs())
    rnd = random.Random()
    rnd.seed(42)
    rnd.shuffle(documents)
    asked = []
    for document in documents[:limit]:
        context = task.fewshot_context(doc=document, num_fewshot=num_fewshot, rnd=rnd, description='')
        asked.append((document, list(task.construct_requests(document, context))))
    return asked


def digest(asked):
    """What is sent for its log-likelihood; the harness sends it again to ask whether it is greedy."""
    sent = [request.args for _, requests in asked for request in requests if request.index == 0]
    return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()


def results(task, asked):
    random.seed(42)
    values = {}
    for document, requests in asked:
        answers = [-random.random() if request.index == 0 else False for request in requests]
        for metric, value in task.process_results(document, answers).items():
            values.setdefault(metric, []).append(value)
    found = {}
    for metric, items in values.items():
        aggregate = task.aggregation()[metric]
        found[metric] = float(aggregate(items))
        if aggregate is mean:
            found[f'{metric}_stderr'] = float(mean_stderr(items))
    return found


def main():
    made = {'by': 'test/golden/legacy.py', 'lm_eval': '0.3.0'}
    golden = {'made': made, 'tasks': {}, 'mmlu_anatomy': {'examples': 2, 'few': digest(ask(mmlu('anatomy'), 2, FIRST))}}
    for name, (module, cls, split, shots) in TASKS.items():
        task = load(name, module, cls, split)
        asked = ask(task)
        golden['tasks'][name] = {
            'examples': shots,
            'requests': {'zero': digest(asked), 'few': digest(ask(task, shots, FIRST))},
            'results': results(task, asked),
        }
        print(name, golden['tasks'][name])
    (HERE / 'legacy.json').write_text(json.dumps(golden, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
