"""
The other side: TRL's ORPOTrainer with PEFT, one optimizer step per line of standard input.

    python trl_side.py MODEL PAIRS ADAPTER '{"bf16": false, "checkpointing": false, ...}'

PAIRS is JSON [[{prompt, chosen, rejected} ids of a pair], ...] by step; ADAPTER a directory in PEFT's layout with the
values to begin with. First line out: {"at"}, when the first step is about to begin; then one line per step.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

out = os.fdopen(os.dup(1), 'w')
os.dup2(2, 1)  # what libraries print is not an answer
sys.path.insert(0, str(Path(__file__).parents[2] / 'test/golden'))

import torch
import transformers
from datasets import Dataset
from peft import LoraConfig, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers.trainer_callback import PrinterCallback
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

from trl_orpo import columns, stub_tokenizer

model_path, pairs_path, adapter_path, options = sys.argv[1:]
options = json.loads(options)
recipe, lora = options['recipe'], options['lora']


def say(**line):
    print(json.dumps(line), file=out, flush=True)


def asked():
    if not sys.stdin.readline():
        os._exit(0)


class Trainer(ORPOTrainer):
    """Unchanged, but that the losses of micro-batches are noted: those of the log are rounded."""

    losses = []

    def get_batch_loss_metrics(self, *args, **kwargs):
        loss, metrics = super().get_batch_loss_metrics(*args, **kwargs)
        self.losses.append(loss.item())
        return loss, metrics


class Stepper(transformers.TrainerCallback):
    def on_step_begin(self, args, state, control, **_):
        if state.global_step == 0:
            say(at=time.time())
        asked()
        Trainer.losses.clear()
        self.begin = time.perf_counter()

    def on_step_end(self, args, state, control, **_):
        seconds = time.perf_counter() - self.begin
        loss = sum(Trainer.losses) / len(Trainer.losses)
        say(step=state.global_step, seconds=seconds, loss=loss)


torch.set_num_threads(options['threads'])
config = ORPOConfig(
    output_dir=tempfile.gettempdir(),  # required; nothing is saved
    save_strategy='no',
    report_to='none',
    disable_tqdm=True,
    logging_steps=1,
    use_cpu=True,
    remove_unused_columns=False,
    train_sampling_strategy='sequential',
    max_length=100000,  # ids are cut already, as ours are
    disable_dropout=True,
    max_steps=options['totalSteps'],
    per_device_train_batch_size=recipe['batchSize'],
    gradient_accumulation_steps=recipe['accumulation'],
    beta=recipe['beta'],
    learning_rate=recipe['learningRate'],
    lr_scheduler_type=recipe['schedule'].lower(),
    warmup_steps=recipe['warmupSteps'],
    weight_decay=recipe['weightDecay'],
    max_grad_norm=recipe['maxGradNorm'],
    optim='adamw_torch',
    bf16=options['bf16'],
    gradient_checkpointing=options['checkpointing'],
)
# bf16: weights and activations in bfloat16, PEFT's matrices in float32, autocast. Without autocast a step takes as long, and the
# first loss of SmolLM2 is 1.2% off that of float32 instead of 0.1%.
trainer = Trainer(
    model=transformers.AutoModelForCausalLM.from_pretrained(
        model_path, dtype=torch.bfloat16 if options['bf16'] else torch.float32
    ),
    args=config,
    train_dataset=Dataset.from_list([{'prompt': 'a', 'chosen': 'b', 'rejected': 'c'}]),
    processing_class=stub_tokenizer(),
    peft_config=LoraConfig(
        task_type='CAUSAL_LM',
        r=lora['r'],
        lora_alpha=lora['alpha'],
        lora_dropout=lora['dropout'],
        target_modules=lora['targetModules'],
    ),
    callbacks=[Stepper()],
)
trainer.remove_callback(PrinterCallback)
pairs = [pair for step in json.loads(Path(pairs_path).read_text()) for pair in step]
trainer.train_dataset = Dataset.from_list([columns(pair) for pair in pairs])
begin = load_file(Path(adapter_path) / 'adapter_model.safetensors')
loaded = set_peft_model_state_dict(trainer.model, begin)
assert not loaded.unexpected_keys, loaded.unexpected_keys
trainer.train()
