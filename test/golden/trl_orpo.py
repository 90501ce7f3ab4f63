"""TRL's own ORPOTrainer on token ids of our choice: one micro-batch, or a whole run."""

import tempfile

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model_state_dict
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.trainer_callback import PrinterCallback
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

PAD = 0
LINEARS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']
SETTINGS = {  # every argument of the run that matters, passed to ORPOConfig as it is
    'beta': 0.1,
    'max_length': 100000,  # never cut
    'per_device_train_batch_size': 2,
    'gradient_accumulation_steps': 2,
    'max_steps': 20,
    'train_sampling_strategy': 'sequential',
    'optim': 'adamw_torch',
    'adam_beta1': 0.9,
    'adam_beta2': 0.999,
    'adam_epsilon': 1e-8,
    'weight_decay': 0.01,
    'max_grad_norm': 0.5,
    'learning_rate': 5e-3,
    'lr_scheduler_type': 'linear',
    'warmup_steps': 4,
    'disable_dropout': True,
    'gradient_checkpointing': False,
    'bf16': False,
}
LORA = {'r': 4, 'lora_alpha': 8, 'lora_dropout': 0.0, 'target_modules': LINEARS, 'bias': 'none'}


class Trainer(ORPOTrainer):
    """
    ORPOTrainer, unchanged in what it computes. It stores two more metrics, `logits_predicting/*`:
    the mean of the raw logits over positions 0 .. length - 2 of each row, without the pads that
    TRL's `logits/*` averages in.
    """

    def concatenated_forward(self, model, batch):
        result = super().concatenated_forward(model, batch)
        for side, logits in zip(('chosen', 'rejected'), result[2:4]):
            positions = logits.shape[1]
            mask = torch.nn.functional.pad(batch[f'{side}_attention_mask'], (0, positions))
            real = mask[:, 1 : positions + 1].bool()  # true where the next token is no pad
            self.store_metrics({f'logits_predicting/{side}': logits[real].mean().item()})
        return result


def stub_tokenizer():
    """What the trainer wants of a tokenizer: a pad token. Nothing it encodes is used."""
    words = Tokenizer(models.WordLevel({'<unk>': 0, '<s>': 1, '</s>': 2}, unk_token='<unk>'))
    special = {'bos_token': '<s>', 'eos_token': '</s>', 'pad_token': '<unk>'}
    return PreTrainedTokenizerFast(tokenizer_object=words, **special)


def columns(pair):
    """A row as TRL's tokenize_row makes it, from {prompt, chosen, rejected} ids."""
    prompt = pair['prompt']
    row = {'prompt_input_ids': prompt, 'prompt_attention_mask': [1] * len(prompt)}
    for side in ('chosen', 'rejected'):
        row[f'{side}_input_ids'] = prompt + pair[side]
        row[f'{side}_attention_mask'] = [1] * len(prompt + pair[side])
        row[f'{side}_labels'] = [-100] * len(prompt) + pair[side]
    return row


def load(directory, dtype=torch.float32, attention='eager'):
    return AutoModelForCausalLM.from_pretrained(
        directory, dtype=dtype, attn_implementation=attention
    )


def trainer(model, pairs, seed, settings, lora=LORA):
    """The trainer over `pairs` in their order; PEFT draws A from `seed` and sets B to zero."""
    config = ORPOConfig(
        output_dir=tempfile.gettempdir(),  # required; nothing is saved
        save_strategy='no',
        report_to='none',
        disable_tqdm=True,
        logging_steps=1,
        use_cpu=True,
        seed=seed,
        remove_unused_columns=False,
        **settings,
    )
    result = Trainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list([{'prompt': 'a', 'chosen': 'b', 'rejected': 'c'}]),
        processing_class=stub_tokenizer(),
        peft_config=LoraConfig(task_type='CAUSAL_LM', **lora),
    )
    result.remove_callback(PrinterCallback)
    result.train_dataset = Dataset.from_list([columns(pair) for pair in pairs])
    return result


def adapter(model):
    """The adapter under the names of PEFT's adapter_model.safetensors."""
    state = get_peft_model_state_dict(model)
    return {key: value.detach().clone().float() for key, value in state.items()}


def gradients(model):
    """The gradient of every LoRA matrix, under the same names."""
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    return {name.replace('.default.', '.'): p.grad.detach().clone() for name, p in trained}


def micro_batch(run):
    """TRL's loss and metrics on the first micro-batch, the gradients, and the padded row length."""
    batch = next(iter(run.get_train_dataloader()))
    run.model.zero_grad()
    loss, metrics = run.get_batch_loss_metrics(run.model, batch, train_eval='train')
    loss.backward()
    length = max(batch[f'{side}_input_ids'].shape[1] for side in ('chosen', 'rejected'))
    return {'loss': loss.item(), **metrics}, gradients(run.model), length


def train(run):
    """Train to the end; the log of each step, as the Trainer logs it."""
    decayed = run.get_decay_parameter_names(run.model)
    trained = [n for n, p in run.model.named_parameters() if p.requires_grad]
    assert set(trained) <= set(decayed), 'weight decay is expected on every LoRA matrix'
    run.train()
    logs = [log for log in run.state.log_history if 'loss' in log]
    return [{'step': log.pop('step'), **log} for log in logs]
