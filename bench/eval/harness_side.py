"""
The other side of scoring: lm-evaluation-harness with its HF backend, all requests of all tasks per line of standard input.

    python harness_side.py MODEL '{"dtype": "float32", "threads": 2, "batch": 8, "tasks": [{...}, ...]}'

Tasks are the harness's own, by name, with what is different about them, which is where their rows are; or whole ones. First line
out: {"at", "documents"}, when the first batch was scored; then per line seconds of scoring alone, log-likelihoods, metrics.
"""

import ast
import json
import os
import sys
import time

out = os.fdopen(os.dup(1), 'w')
os.dup2(2, 1)  # what libraries print is not an answer

import torch
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

model, options = sys.argv[1], json.loads(sys.argv[2])
torch.set_num_threads(options['threads'])


def say(**line):
    print(json.dumps(line), file=out, flush=True)


def asked():
    if not sys.stdin.readline():
        os._exit(0)


class Timed(HFLM):
    """Unchanged, but that it scores when it is asked to, and that its time, tokens and answers are noted."""

    seconds = 0.0
    tokens = 0  # without padding, and with every context as often as it is asked with
    computed = 0  # with padding, and once for choices of one token
    documents = {}  # (task, index): [(request, log-likelihood)]
    begun = False

    def loglikelihood(self, requests, disable_tqdm=False):
        if not Timed.begun:
            # A batch: kernels are chosen, and pages of weights touched.
            super().loglikelihood(requests[: options['batch']], disable_tqdm=True)
            Timed.begun = True
            note(requests, [(0.0, False)] * len(requests))
            documents = [
                {'task': task, 'index': index, 'requests': [request for request, _ in requests]}
                for (task, index), requests in Timed.documents.items()
            ]
            say(at=time.time(), documents=documents)
            asked()
        Timed.computed = 0
        begin = time.perf_counter()
        answers = super().loglikelihood(requests, disable_tqdm=True)
        Timed.seconds = time.perf_counter() - begin
        note(requests, answers)
        return answers

    def _loglikelihood_tokens(self, requests, *args, **kwargs):
        Timed.tokens = sum(len(context) + len(continuation) - 1 for _, context, continuation in requests)
        return super()._loglikelihood_tokens(requests, *args, **kwargs)

    def _model_call(self, inps, *args, **kwargs):
        Timed.computed += inps.numel()
        return super()._model_call(inps, *args, **kwargs)


def note(requests, answers):
    Timed.documents = {}
    for request, (log_likelihood, _) in zip(requests, answers, strict=True):
        Timed.documents.setdefault((request.task_name, request.doc_id), []).append((request.args, log_likelihood))


lm = Timed(pretrained=model, dtype=options['dtype'], device='cpu', batch_size=options['batch'])
manager = TaskManager()


def configured(task):
    known = {} if 'doc_to_text' in task else load_yaml(manager.task_index[task['task']].yaml_path, resolve_func=True)
    return {**known, **task}


def gold_of(samples):
    targets = {sample['doc_id']: ast.literal_eval(str(sample['target'])) for sample in samples}
    return {index: target if isinstance(target, list) else [int(target)] for index, target in targets.items()}


while True:
    evaluated = simple_evaluate(
        model=lm,
        tasks=[configured(task) for task in options['tasks']],
        task_manager=manager,
        bootstrap_iters=0,
        log_samples=True,
    )
    gold = {task: gold_of(samples) for task, samples in evaluated['samples'].items()}
    say(
        seconds=Timed.seconds,
        tokens=Timed.tokens,
        computed=Timed.computed,
        logLikelihoods=[[ll for _, ll in asked] for asked in Timed.documents.values()],
        gold=[gold[task][index] for task, index in Timed.documents],
        accuracy={task: result['acc,none'] for task, result in evaluated['results'].items()},
    )
    asked()
