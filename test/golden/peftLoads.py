"""
Checks that PEFT loads what the product stores, and that it then scores as the product did.

Runs `npm run demo` in a temporary home: one trainAdapter mutation trains an adapter on the embedded model and scores
it and its base. The adapter's two files are then taken from the artifacts as they are, loaded by transformers and PEFT,
and every 18th benchmark document is scored again, tokenized by transformers. Not run by the tests; with the environment
that make.py describes on its first lines, and Node:

    python test/golden/peftLoads.py

Some fifteen seconds. Prints the largest difference of a choice's log-likelihood, in nats, and exits with 1 when it is 1e-3
or more.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

os.environ |= {'HF_HUB_OFFLINE': '1', 'TRANSFORMERS_VERBOSITY': 'error'}

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

REPOSITORY = Path(__file__).resolve().parent.parent.parent
BENCHMARK = REPOSITORY / 'demo/benchmark.jsonl'
EVERY = 18
LIMIT = 1e-3
RUN = """{ runs(first: 1) { nodes { id status model { path } artifacts { id kind name } evaluations { adapter { id } id } } } }"""
SAMPLES = """query ($id: ID!, $after: String) { evaluation(id: $id) { samples(first: 100, after: $after) {
  nodes { document choices { logLikelihood tokens } } pageInfo { hasNextPage endCursor }
} } }"""


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def ask(port, key, query, **variables):
    request = urllib.request.Request(
        f'http://127.0.0.1:{port}/graphql',
        json.dumps({'query': query, 'variables': variables}).encode(),
        {'content-type': 'application/json', 'authorization': f'Bearer {key}'},
    )
    with urllib.request.urlopen(request) as answer:
        body = json.load(answer)
    assert 'errors' not in body, body['errors']
    return body['data']


def stored_samples(port, key, evaluation):
    """Every stored sample of an evaluation, by document."""
    samples, after = {}, None
    while True:
        page = ask(port, key, SAMPLES, id=evaluation, after=after)['evaluation']['samples']
        samples |= {sample['document']: sample['choices'] for sample in page['nodes']}
        if not page['pageInfo']['hasNextPage']:
            return samples
        after = page['pageInfo']['endCursor']


def train(home):
    """The demo, until it has printed its comparison; the model's path, the adapter's folder, samples of base and adapter."""
    port = free_port()
    command = ['npm', 'run', '--silent', 'demo', '--', '--port', str(port)]
    environment = os.environ | {'ODDSMITH_HOME': str(home), 'DATABASE_URL': ''}
    demo = subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        for line in demo.stdout:
            print(line, end='')
            if line.startswith('Serving until'):
                break
        key = (home / 'demo.key').read_text().strip()
        [run] = ask(port, key, RUN)['runs']['nodes']
        assert run['status'] == 'SUCCEEDED', run
        bare = lambda global_id: global_id.split(':')[1]
        adapter = home / 'adapter'
        adapter.mkdir()
        for artifact in run['artifacts']:
            if artifact['kind'] == 'ADAPTER':
                stored = home / 'artifacts' / bare(run['id']) / bare(artifact['id'])
                shutil.copy(stored, adapter / artifact['name'])
        of = {evaluation['adapter'] is None: evaluation['id'] for evaluation in run['evaluations']}
        return run['model']['path'], adapter, stored_samples(port, key, of[True]), stored_samples(port, key, of[False])
    finally:
        if demo.poll() is None:
            os.killpg(demo.pid, signal.SIGINT)
        demo.wait()


@torch.no_grad()
def log_likelihoods(model, tokenizer, document):
    """(sum of log-likelihoods, tokens) of each choice, as lm-evaluation-harness encodes and scores a pair of texts."""
    text = tokenizer.apply_chat_template(document['messages'], tokenize=False, add_generation_prompt=True)
    context = tokenizer.encode(text.rstrip(), add_special_tokens=False)
    found = []
    for choice in document['choices']:
        whole = tokenizer.encode(text + choice, add_special_tokens=False)
        logps = model(torch.tensor([whole[:-1]])).logits[0].log_softmax(-1)
        scored = range(len(context), len(whole))
        found.append((sum(logps[at - 1, whole[at]].item() for at in scored), len(scored)))
    return found


def largest_difference(name, model, tokenizer, documents, stored):
    largest = 0
    for at in range(0, len(documents), EVERY):
        for (theirs, tokens), ours in zip(log_likelihoods(model, tokenizer, documents[at]), stored[at], strict=True):
            assert tokens == ours['tokens'], f'document {at}: {tokens} tokens, stored are {ours["tokens"]}'
            largest = max(largest, abs(theirs - ours['logLikelihood']))
    print(f'{name}: largest difference {largest:.2e} nats over {len(range(0, len(documents), EVERY))} documents')
    return largest


def main():
    documents = [json.loads(line) for line in BENCHMARK.read_text().splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        path, adapter, base_samples, tuned_samples = train(Path(folder))
        tokenizer = AutoTokenizer.from_pretrained(path)
        base = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        differences = [largest_difference('base', base, tokenizer, documents, base_samples)]
        tuned = PeftModel.from_pretrained(base, adapter).eval()
        file = load_file(adapter / 'adapter_model.safetensors')
        loaded = get_peft_model_state_dict(tuned)
        assert file.keys() == loaded.keys(), file.keys() ^ loaded.keys()
        assert all(torch.equal(file[name], loaded[name]) for name in file)
        print(f'PEFT holds the {len(file)} matrices of the file and no others')
        differences.append(largest_difference('adapter', tuned, tokenizer, documents, tuned_samples))
        moved = [abs(a['logLikelihood'] - b['logLikelihood']) for at in base_samples for a, b in zip(base_samples[at], tuned_samples[at])]
        print(f'(the adapter moved log-likelihoods by {sum(moved) / len(moved):.2f} nats on average)')
        sys.exit(max(differences) >= LIMIT)


if __name__ == '__main__':
    main()
