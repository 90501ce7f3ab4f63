"""
Makes customTasks.json: what lm-evaluation-harness asks and computes for tasks that are declared as YAML, each beside the declaration that
means the same here. Not run by the tests. Run like evaluation.py, whose ways of asking it uses; seconds.

    rows      made up for this test, the question's columns as other people name them
    tasks     `declared` is ours; `requests` by variant as in evaluation.json, examples from the same rows; `results` as there, or of
              `responses`, one for each row
"""

import copy
import json
import random
from importlib.metadata import version

import evaluation  # first: sets the environment that lm_eval reads
from evaluation import CACHE, HERE, SYSTEM, ask, by_document, digest, results, source, template
from lm_eval.api.task import ConfigurableTask

ANIMALS = ['cat', 'dog', 'owl', 'ant', 'cow', 'hen', 'bee', 'fox']
ROWS = [
    {
        'ask': f'Which is number {i} of the row?',
        'options': {'text': [ANIMALS[(i + j) % 8] for j in range(4)], 'label': ['A', 'B', 'C', 'D']},
        'a': ANIMALS[i],
        'b': ANIMALS[(i + 3) % 8] + ' or so',
        'answer': i % 4,
        'key': 'AB'[i % 2],
        'note': None if i % 3 else f'A note, "{i}"  \n',
        'hints': ['one', 'two'][: i % 3],
        'page': f'Page {i}\n\n  of äöü… {"word " * i}\n',
        'prompt': [{'role': 'user', 'content': f'Say {ANIMALS[i]}.'}],
        'chosen': f'{ANIMALS[i]}, gladly.',
        'rejected': 'No.' * (i + 1),
    }
    for i in range(8)
]
COMMENTED = '{{ask}}{% if note %}\n{{ note | trim }}{% endif %}{% for h in hints %} ({{loop.index}}) {{ h|upper }}{% endfor %}\n'
RESPONSES = [
    ' cat', 'The answer is DOG', 'answer is owl. answer is ANT', 'answer is ant answer is cow', 'cow\n', 'hen.', 'answer is  bee  ', 'answer is',
]
# Ours, what differs in the YAML, and responses.
TASKS = {
    'column': (
        {'kind': 'MULTIPLE_CHOICE', 'text': 'ask', 'choices': ['options.text'], 'target': 'answer', 'description': 'About animals.\n\n'},
        {'output_type': 'multiple_choice', 'doc_to_text': 'ask', 'doc_to_choice': '{{options.text}}', 'doc_to_target': 'answer',
         'description': 'About animals.\n\n'},
        None,
    ),
    'templates': (
        {'kind': 'MULTIPLE_CHOICE', 'text': COMMENTED, 'choices': ['{{a}}', '{{ b ~ "!" }}'], 'target': 'key', 'delimiter': ': '},
        {'output_type': 'multiple_choice', 'doc_to_text': COMMENTED, 'doc_to_choice': '{{[a, b ~ "!"]}}',
         'doc_to_target': '{{ 0 if key == "A" else 1 }}', 'target_delimiter': ': '},
        None,
    ),
    'text': (
        {'kind': 'MULTIPLE_CHOICE', 'text': '{{ask}}', 'choices': ['options.text'], 'target': '{{a}}'},
        {'output_type': 'multiple_choice', 'doc_to_text': '{{ask}}', 'doc_to_choice': '{{options.text}}', 'doc_to_target': '{{a}}'},
        None,
    ),
    'whole': (
        {'kind': 'GENERATE', 'text': 'Q: {{ask}}\nA:', 'target': 'a', 'until': ['\n', 'Q:'], 'maxTokens': 7},
        {'output_type': 'generate_until', 'doc_to_text': 'Q: {{ask}}\nA:', 'doc_to_target': '{{a}}',
         'generation_kwargs': {'until': ['\n', 'Q:'], 'max_gen_toks': 7},
         'filter_list': [{'name': 'f', 'filter': [{'function': 'remove_whitespace'}, {'function': 'take_first'}]}],
         'metric_list': [{'metric': 'exact_match', 'aggregation': 'mean', 'higher_is_better': True}]},
        RESPONSES,
    ),
    'first': (
        {'kind': 'GENERATE', 'text': 'Q: {{ask}}\nA:', 'target': 'a', 'ignoreCase': True, 'match': {'regex': r'answer is\s+(\w+)'}},
        {'output_type': 'generate_until', 'doc_to_text': 'Q: {{ask}}\nA:', 'doc_to_target': '{{a}}',
         'generation_kwargs': {'until': ['\n\n']},
         'filter_list': [{'name': 'f', 'filter': [{'function': 'regex', 'regex_pattern': r'answer is\s+(\w+)'}, {'function': 'take_first'}]}],
         'metric_list': [{'metric': 'exact_match', 'aggregation': 'mean', 'higher_is_better': True, 'ignore_case': True}]},
        RESPONSES,
    ),
    'last': (
        {'kind': 'GENERATE', 'text': 'Q: {{ask}}\nA:', 'target': 'a', 'match': {'regex': r'(ant|hen)|(\b[a-z]{3}\b)', 'take': 'LAST'}},
        {'output_type': 'generate_until', 'doc_to_text': 'Q: {{ask}}\nA:', 'doc_to_target': '{{a}}',
         'generation_kwargs': {'until': ['\n\n']},
         'filter_list': [{'name': 'f', 'filter': [
             {'function': 'regex', 'regex_pattern': r'(ant|hen)|(\b[a-z]{3}\b)', 'group_select': -1}, {'function': 'take_first'}]}],
         'metric_list': [{'metric': 'exact_match', 'aggregation': 'mean', 'higher_is_better': True}]},
        RESPONSES,
    ),
    'pages': (
        {'kind': 'PERPLEXITY', 'text': '{{page}}'},
        {'output_type': 'loglikelihood_rolling', 'doc_to_text': '', 'doc_to_target': '{{page}}',
         'metric_list': [{'metric': m} for m in ('word_perplexity', 'byte_perplexity', 'bits_per_byte')]},
        None,
    ),
    # The harness has no such task: the prompt goes through the template by hand.
    'preference': (
        {'kind': 'PREFERENCE'},
        {'output_type': 'multiple_choice', 'doc_to_text': lambda row: template(row['prompt']), 'target_delimiter': '',
         'doc_to_choice': lambda row: [row['chosen'], row['rejected']], 'doc_to_target': lambda row: 0},
        None,
    ),
}
VARIANTS = {
    'zero': {},
    'few': {'num_fewshot': 3},
    'chatTurns': {'num_fewshot': 2, 'seed': 7, 'apply_chat_template': True, 'fewshot_as_multiturn': True, 'system_instruction': SYSTEM},
}


def responded(task, responses):
    instances = ask(task)
    for instance, response in zip(instances, responses, strict=True):
        instance.resps = [response]
    task.apply_filters()
    return [int(task.process_results(i.doc, [i.filtered_resps['f']])['exact_match']) for i in instances]


def main():
    made = {'by': 'test/golden/customTasks.py', **{p: version(p) for p in ('lm_eval', 'datasets')}}
    golden = {'made': made, 'rows': ROWS, 'variants': VARIANTS, 'tasks': {}}
    for name, (declared, yaml, responses) in TASKS.items():
        whole = yaml['output_type'] == 'loglikelihood_rolling'
        task = ConfigurableTask(config={
            'task': name, **source(CACHE.name, {'test': ROWS}), 'test_split': 'test',
            **({} if whole or name == 'preference' else {'fewshot_split': 'test'}), **copy.deepcopy(yaml),
        })
        variants = ['zero'] if whole or name == 'preference' else list(VARIANTS)
        entry = {'declared': declared, 'requests': {v: digest(ask(task, **VARIANTS[v])) for v in variants}}
        if responses:
            entry |= {'responses': responses, 'scores': responded(task, responses)}
        else:
            entry['results'] = results(task, ask(task))
        golden['tasks'][name] = entry
        print(name, entry.get('results'), entry.get('scores'), flush=True)
    (HERE / 'customTasks.json').write_text(json.dumps(golden, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
