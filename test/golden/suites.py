"""
Makes suites.json: what is asked of BIG-bench's and MMLU's rows. Not run by the tests.

    the packages of test/gpu-runtime/reference.py, then
    OMP_NUM_THREADS=1 python test/golden/suites.py

Rows come from $ODDSMITH_SHARED (default ../shared beside the repository); of them only hashes are kept. A minute.

    mmlu       by subject, lm-evaluation-harness' own task class on these rows: sha256 of json.dumps of all [context, continuation],
               without examples and with the first five of dev
    bigBench   by task, as the fork's rules say (https://github.com/dmahan93/lm-evaluation-harness, branch add-agieval), written
               again in Python with NumPy: rows that are equal once, documents by Random(42), answers by RandomState(42);
               multiple_choice_grade for -random.random() of random.seed(42), and for the same cut to one decimal, where many are equal
    logLikelihoods  of stories260K, the first documents of each, MMLU's with one example; without BOS for BIG-bench
"""

import csv
import hashlib
import json
import random
from importlib.metadata import version

import evaluation as harness  # first: sets the environment that transformers reads
import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

SUBJECTS = [path.stem.removesuffix('_test') for path in sorted((harness.DATA / 'mmlu/test').glob('*.csv'))]
SCORED = 2
BIG_BENCH = [path.stem for path in sorted((harness.DATA / 'bigbench-nous').glob('*.json'))]


def rows(subject, split):
    with open(harness.DATA / f'mmlu/{split}/{subject}_{split}.csv', encoding='utf-8', newline='') as file:
        return [
            {'question': r['question'], 'choices': [r[f'choice{i}'] for i in range(4)], 'answer': int(r['answer'])}
            for r in csv.DictReader(file)
        ]


def mmlu(manager, subject):
    splits = {split: rows(subject, split) for split in ('test', 'dev')}
    entry = manager._entry(f'mmlu_{subject}')
    return manager._factory.build(entry, overrides=harness.source(harness.CACHE.name, splits), registry=manager._index)


def argmax(lls):
    array = np.asarray(lls)
    best = np.flatnonzero(array == array.max())
    return best[int(hashlib.sha256(array.tobytes()).hexdigest(), 16) % len(best)]


def big_bench(name):
    """[context, answers, grades] of each document, in the order in which they are asked."""
    task = json.loads((harness.DATA / f'bigbench-nous/{name}.json').read_text(encoding='utf-8'))
    unequal = list({json.dumps(example): example for example in task['examples']}.values())
    random.Random(42).shuffle(unequal)
    documents = []
    for example in unequal:
        answers = list(example['target_scores'])
        listed = ''
        if task.get('append_choices_to_input', True):
            prefix = task.get('choice_prefix', '\n  choice: ')
            listed = ''.join(prefix + str(c) for c in np.random.RandomState(42).permutation(sorted(answers)))
        context = (
            task.get('task_prefix', '')
            + task.get('example_input_prefix', '\nQ: ')
            + example['input']
            + listed
            + task.get('example_output_prefix', '\nA: ')
        )
        documents.append((context, answers, list(example['target_scores'].values())))
    return documents


def grade(documents, decimals):
    random.seed(42)
    total = 0
    for _, answers, grades in documents:
        lls = [-random.random() for _ in answers]
        total += grades[argmax(lls if decimals is None else [round(ll, decimals) for ll in lls])]
    return total / len(documents)


def main():
    tokenizer = PreTrainedTokenizerFast.from_pretrained(harness.STORIES)
    model = LlamaForCausalLM.from_pretrained(harness.STORIES, attn_implementation='eager').eval()
    lm = {
        bos: HFLM(pretrained=model, tokenizer=tokenizer, backend='causal', batch_size=1, add_bos_token=bos)
        for bos in (True, False)
    }
    manager = TaskManager()
    made = {'by': 'test/golden/suites.py', **{p: version(p) for p in ('lm_eval', 'numpy', 'torch', 'transformers')}}
    golden = {'made': made, 'mmlu': {}, 'bigBench': {}, 'logLikelihoods': {}}
    for subject in SUBJECTS:
        task = mmlu(manager, subject)
        golden['mmlu'][subject] = [harness.digest(harness.ask(task, num_fewshot=n)) for n in (0, 5)]
        print(subject, golden['mmlu'][subject], flush=True)
    for name in BIG_BENCH:
        documents = big_bench(name)
        pairs = [[context, answer] for context, answers, _ in documents for answer in answers]
        golden['bigBench'][name] = {
            'documents': len(documents),
            'requests': hashlib.sha256(json.dumps(pairs, sort_keys=True).encode()).hexdigest(),
            'grade': grade(documents, None),
            'gradeWithEquals': grade(documents, 1),
        }
        print(name, golden['bigBench'][name], flush=True)
    for subject in SUBJECTS:
        instances = harness.ask(mmlu(manager, subject), num_fewshot=1, limit=SCORED)
        scored = golden['logLikelihoods'].setdefault(f'mmlu_{subject}', {'dialect': 'LM_EVAL', 'fewShot': 1})
        scored['values'] = [[ll for ll, _ in lm[True].loglikelihood(of_one)] for of_one in harness.by_document(instances).values()]
    for name in BIG_BENCH:
        asked = [
            [Instance('loglikelihood', {}, (context, answer), 0) for answer in answers]
            for context, answers, _ in big_bench(name)[:SCORED]
        ]
        scored = golden['logLikelihoods'].setdefault(f'bigbench_{name}', {'dialect': 'NOUS', 'fewShot': 0})
        scored['values'] = [[ll for ll, _ in lm[False].loglikelihood(of_one)] for of_one in asked]
    (harness.HERE / 'suites.json').write_text(json.dumps(golden, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
