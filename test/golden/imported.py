"""
An adapter that PEFT made, as people bring them, and how likely it finds the answers of the embedded benchmark.

Not run by the tests. With the environment that make.py describes on its first lines:

    python test/golden/imported.py

Writes imported/adapter_config.json and imported/adapter_model.safetensors as save_pretrained stores them (target_modules is a
regular expression, rank-stabilized, matrices in bfloat16, B random instead of zero), and imported.json.
"""

import json
import os
import sys
from pathlib import Path

os.environ |= {'HF_HUB_OFFLINE': '1', 'TRANSFORMERS_VERBOSITY': 'error'}
sys.dont_write_bytecode = True

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from peftLoads import BENCHMARK, REPOSITORY, log_likelihoods

HERE = Path(__file__).resolve().parent
MODEL = REPOSITORY / 'demo/zoo-334k'
DOCUMENTS = 20

torch.manual_seed(11)
torch.set_num_threads(1)
tokenizer = AutoTokenizer.from_pretrained(MODEL)
base = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
documents = [json.loads(line) for line in BENCHMARK.read_text().splitlines()[:DOCUMENTS]]
plain = [log_likelihoods(base, tokenizer, document) for document in documents]
config = LoraConfig(
    r=2, lora_alpha=3, use_rslora=True, target_modules=r'model\.layers\.\d+\.(self_attn|mlp)\.(q_proj|down_proj)'
)
config.task_type = 'CAUSAL_LM'
tuned = get_peft_model(base, config).eval()
for name, weight in tuned.named_parameters():
    if 'lora_B' in name:
        torch.nn.init.normal_(weight, std=0.05)
    if 'lora_' in name:
        weight.data = weight.data.to(torch.bfloat16).to(torch.float32)
answers = [log_likelihoods(tuned, tokenizer, document) for document in documents]
for weight in (w for name, w in tuned.named_parameters() if 'lora_' in name):
    weight.data = weight.data.to(torch.bfloat16)
tuned.peft_config['default'].base_model_name_or_path = 'demo/zoo-334k'
tuned.save_pretrained(HERE / 'imported')
(HERE / 'imported/README.md').unlink()
as_sums = lambda found: [[total for total, _ in choices] for choices in found]
(HERE / 'imported.json').write_text(
    json.dumps({'made': 'imported.py', 'base': as_sums(plain), 'adapter': as_sums(answers)}) + '\n'
)
