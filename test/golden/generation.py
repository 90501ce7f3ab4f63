"""
Makes generation.json: what lm-evaluation-harness itself asks, extracts and computes where a model answers by writing. Not run by the
tests. Run like evaluation.py, whose ways of loading a task it uses, with the packages and NLTK_DATA of ifeval.py; about a minute.

    requests    by variant, as in evaluation.json
    judged      GSM8K: responses, made up, and the scores of each filter, in the order of the first rows' documents
    ifeval      scores of responses, made up, to the first rows; shares of instructions as [followed, instructions]
    responses   what stories260K writes greedily to the first documents, one prompt at a time, as a model of 2048 positions
"""

import json
from importlib.metadata import version

import evaluation  # first: sets the environment that lm_eval reads
from evaluation import CACHE, FIRST, HERE, STORIES, VARIANTS, HFLM, LlamaForCausalLM, PreTrainedTokenizerFast, TaskManager
from evaluation import ask, digest, load

TASKS = {
    'gsm8k': ('gsm8k/test.jsonl', [-100, None]),
    'ifeval': ('ifeval/input_data.jsonl', None),
}
# {} is the right answer's number. Each is given to a document of its own.
RESPONSES = [
    ' so it is {}.\n#### {}',
    '#### {}.',
    '#### {}\n\n',
    'The answer is {}.',
    'The answer is ${} dollars, of 1000',
    'First 3, then {}',
    '#### {} and then #### 7',
    '#### 7 and then #### {}',
    '####{}',
    '#### ${}',
    '#### -{}',
    '-{}',
    '1,{}.',
    'about {}..',
    '{} eggs, . , $',
    '',
    'no number at all',
    '#### ,{},',
    '$ {}.00',
    '#### {}.\n',
    ' 5-{}',
    '٣ is not {}',
    '#### \n{}',
    'a #### b {}',
]
INSTRUCTED = ['', '  ', 'no comma here', '*one* and *two* and *three*', 'first line\n*one* *two* *three* ' + 'word ' * 320]
POSITIONS = 2048
WRITTEN = 2


def judged(task):
    """Scores by filter of RESPONSES to the first documents."""
    instances = ask(task, limit=len(RESPONSES))
    said = []
    for instance, response in zip(instances, RESPONSES, strict=True):
        answer = instance.doc['answer'].split('#### ')[-1]
        said.append(response.replace('{}', answer))
        instance.resps = [said[-1]]
    task.apply_filters()
    filters = list(instances[0].filtered_resps)
    scores = {
        name: [int(task.process_results(i.doc, [i.filtered_resps[name]])['exact_match']) for i in instances] for name in filters
    }
    return {'responses': said, **scores}


def instructed(task):
    instances = ask(task, limit=len(INSTRUCTED))
    found = []
    for instance, response in zip(instances, INSTRUCTED, strict=True):
        scores = task.process_results(instance.doc, [response])
        found.append({k: [sum(v), len(v)] if isinstance(v, list) else int(v) for k, v in scores.items()})
    return {'responses': INSTRUCTED, 'scores': found}


def main():
    tokenizer = PreTrainedTokenizerFast.from_pretrained(STORIES)
    model = LlamaForCausalLM.from_pretrained(STORIES, attn_implementation='eager').eval()
    model.config.max_position_embeddings = POSITIONS
    lm = HFLM(pretrained=model, tokenizer=tokenizer, backend='causal', batch_size=1, add_bos_token=True, max_length=POSITIONS)
    made = {'by': 'test/golden/generation.py', **{p: version(p) for p in ('lm_eval', 'datasets', 'torch', 'transformers')}}
    golden = {'made': made, 'positions': POSITIONS, 'tasks': {}}
    manager = TaskManager()
    for name, (rows, examples) in TASKS.items():
        task = load(manager, name, rows, examples, CACHE.name)
        instances = ask(task)
        requests = {'zero': digest(instances)}
        for variant, style in VARIANTS.items():
            if style and not ('num_fewshot' in style and examples is None):
                requests[variant] = digest(ask(task, limit=FIRST, **style))
        written = lm.generate_until(ask(task, limit=WRITTEN), disable_tqdm=True)
        golden['tasks'][name] = {'rows': rows, 'examples': examples, 'requests': requests, 'responses': written}
        if name == 'gsm8k':
            golden['tasks'][name]['requests']['five'] = digest(ask(task, limit=FIRST, num_fewshot=5))
            golden['judged'] = judged(task)
        else:
            golden['ifeval'] = instructed(task)
        print(name, requests, [len(w) for w in written], flush=True)
    (HERE / 'generation.json').write_text(json.dumps(golden, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
