"""
What lm-evaluation-harness writes to results_*.json and samples_*.jsonl of a real run. Not run by the tests.

    the packages of test/gpu-runtime/reference.py, then
    OMP_NUM_THREADS=1 python test/golden/harnessResults.py

The first 20 rows of two tasks of $ODDSMITH_SHARED on stories260K, float32. Of the samples only keys and numbers are kept:
neither texts nor what depends on the machine.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ |= {'HF_HUB_OFFLINE': '1', 'TOKENIZERS_PARALLELISM': 'false'}
sys.dont_write_bytecode = True

from lm_eval.evaluator import simple_evaluate
from lm_eval.loggers import EvaluationTracker
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from evaluation import NOUS, STORIES, jsonl, source

HERE = Path(__file__).resolve().parent
LIMIT = 20
ROWS = {'openbookqa': NOUS + 'openbookqa.test.jsonl', 'arc_easy': NOUS + 'arc_easy.test.jsonl'}


def main():
    tokenizer = PreTrainedTokenizerFast.from_pretrained(STORIES)
    model = LlamaForCausalLM.from_pretrained(STORIES, attn_implementation='eager').eval()
    lm = HFLM(pretrained=model, tokenizer=tokenizer, backend='causal', batch_size=1, add_bos_token=True)
    manager = TaskManager()
    with tempfile.TemporaryDirectory() as folder:
        tasks = []
        for name, rows in ROWS.items():
            config = load_yaml(manager.task_index[name].yaml_path, resolve_func=True)
            tasks.append({**config, 'task': name, **source(folder, {'train': jsonl(rows), 'validation': jsonl(rows), 'test': jsonl(rows)})})
        tracker = EvaluationTracker(output_path=f'{folder}/out')
        tracker.general_config_tracker.log_experiment_args(
            model_source='hf', model_args='pretrained=stories260K', system_instruction=None, chat_template=None, fewshot_as_multiturn=False
        )
        found = simple_evaluate(
            model=lm, tasks=tasks, task_manager=manager, limit=LIMIT, log_samples=True, evaluation_tracker=tracker
        )
        samples = found.pop('samples')
        tracker.save_results_aggregated(results=found, samples=samples)
        for name in ROWS:
            tracker.save_results_samples(task_name=name, samples=samples[name])
        [written] = Path(folder).glob('out/**/results_*.json')
        results = json.loads(written.read_text())
        lines = {name: next(Path(folder).glob(f'out/**/samples_{name}_*.jsonl')).read_text().splitlines() for name in ROWS}
        lines = {name: [json.loads(line) for line in kept] for name, kept in lines.items()}
    numbers = lambda line: {name: line[name] for name in ('doc_id', 'target', 'resps', 'filtered_resps', 'filter', 'metrics') if name in line} | {
        name: line[name] for name in line['metrics']
    }
    golden = {
        'made': {'by': 'test/golden/harnessResults.py', 'lm_eval': results['lm_eval_version']},
        'keys': sorted(results),
        'config': sorted(results['config']),
        **{name: results[name] for name in ('results', 'group_subtasks', 'versions', 'n-shot', 'higher_is_better', 'n-samples')},
        'configs': {name: sorted(config) for name, config in results['configs'].items()},
        'samples': {name: {'keys': sorted(kept[0]), 'lines': [numbers(line) for line in kept]} for name, kept in lines.items()},
    }
    (HERE / 'harnessResults.json').write_text(json.dumps(golden) + '\n')


main()
