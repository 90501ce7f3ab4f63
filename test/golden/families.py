"""
Makes the golden files of the model families (families/): a tiny random model each, its logits, and TRL's loss and LoRA gradients.

Run like make.py, whose helpers it uses: python test/golden/families.py [family ...]; all of them take about a minute.
"""

import json
import sys

import make  # first: sets the environment that transformers reads
import torch
from transformers import AutoConfig, AutoModelForCausalLM

import random_llama
import trl_orpo

# Of make.py's micro-batch.
KEPT = ['pairs', 'beta', 'pad_id', 'padded_length', 'metrics', 'per_pair', 'logits_means']

QKVO = ['q_proj', 'k_proj', 'v_proj', 'o_proj']
MLP = ['gate_proj', 'up_proj', 'down_proj']

# Odd sizes on purpose: 4 heads of 8 make 32 of hidden 24; sequences are longer than a window of 5.
COMMON = {
    'vocab_size': 48,
    'hidden_size': 24,
    'intermediate_size': 40,
    'num_hidden_layers': 2,
    'num_attention_heads': 4,
    'num_key_value_heads': 2,
    'head_dim': 8,
    'max_position_embeddings': 256,
    'rms_norm_eps': 1e-5,
    'bos_token_id': 1,
    'eos_token_id': 2,
    'pad_token_id': 0,
    'dtype': 'bfloat16',
}

LLAMA3 = {  # wavelengths 6.3, 62.8, 628, ...: one kept (< 32/4), the others scaled (> 32/1)
    'rope_type': 'llama3',
    'factor': 8.0,
    'low_freq_factor': 1.0,
    'high_freq_factor': 4.0,
    'original_max_position_embeddings': 32,
}

# What each family adds to COMMON, in the words of its config.json. The seed of a family is 500 and its place here.
FAMILIES = {
    'llama': {
        'rope_theta': 10000.0,
        'rope_scaling': LLAMA3,
        'attention_bias': True,
        'mlp_bias': True,
        'tie_word_embeddings': False,
    },
    'mistral': {'rope_theta': 10000.0, 'sliding_window': 5, 'tie_word_embeddings': False},
    'qwen2': {
        'rope_theta': 1000000.0,
        'use_sliding_window': True,
        'sliding_window': 5,
        'max_window_layers': 1,
        'tie_word_embeddings': True,
    },
    'qwen3': {'rope_theta': 1000000.0, 'attention_bias': True, 'tie_word_embeddings': False},
    'smollm3': {
        'rope_theta': 50000.0,
        'num_hidden_layers': 3,
        'no_rope_layers': [1, 0, 1],
        'use_sliding_window': True,
        'sliding_window': 5,
        'layer_types': ['full_attention', 'full_attention', 'sliding_attention'],
        'attention_bias': True,
        'mlp_bias': True,
        'tie_word_embeddings': True,
    },
    'olmo2': {'rope_theta': 500000.0, 'attention_bias': True, 'tie_word_embeddings': False},
    'granite': {
        'rope_theta': 10000.0,
        'attention_bias': True,
        'mlp_bias': True,
        'attention_multiplier': 0.5,
        'embedding_multiplier': 3.0,
        'residual_multiplier': 0.6,
        'logits_scaling': 0.7,
        'tie_word_embeddings': True,
    },
    'phi3': {
        'rope_theta': 10000.0,
        'partial_rotary_factor': 0.75,
        'sliding_window': 5,
        'tie_word_embeddings': False,
    },
    'gemma2': {
        'rope_theta': 10000.0,
        'hidden_activation': 'gelu_pytorch_tanh',
        'query_pre_attn_scalar': 12,
        'sliding_window': 5,
        'attn_logit_softcapping': 1.5,
        'final_logit_softcapping': 0.7,
        'attention_bias': True,
        'tie_word_embeddings': True,
    },
    'gemma3_text': {
        'rope_theta': 1000000.0,
        'rope_local_base_freq': 100.0,
        'hidden_activation': 'gelu_pytorch_tanh',
        'query_pre_attn_scalar': 12,
        'sliding_window': 5,
        'sliding_window_pattern': 2,
        'attention_bias': True,
        'tie_word_embeddings': True,
    },
}


# The linears that LoRA adapts, where they are not QKVO + MLP.
TARGETS = {'phi3': ['qkv_proj', 'o_proj', 'gate_up_proj', 'down_proj']}


def weights(model, generator):
    """Linears N(0, 0.2), biases N(0, 0.2), norms N(as initialized, 0.2), embeddings N(0, 0.4), 0.2 if tied, Gemma's 0.1."""
    # Larger tied embeddings make each token predict itself.
    tied, gemma = model.config.tie_word_embeddings, 'gemma' in model.config.model_type
    embeddings = 0.1 if gemma else 0.2 if tied else 0.4

    def drawn(name, parameter):
        std = embeddings if 'embed_tokens' in name else 0.2
        mean = parameter.detach() if parameter.dim() == 1 and name.endswith('norm.weight') else 0
        return mean + std * torch.randn(parameter.shape, generator=generator)

    return {name: drawn(name, p).bfloat16() for name, p in model.named_parameters()}


def family(name, fields, seed):
    generator = torch.Generator().manual_seed(seed)
    case = f'families/{name}'
    directory = make.HERE / case
    config = {'model_type': name, **COMMON, **fields}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / 'config.json').write_text(json.dumps(config, indent=2) + '\n')
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(directory))
    random_llama.write(weights(model, generator), directory / 'model.safetensors')

    ids = random_llama.random_ids(config['vocab_size'], generator)
    pairs = random_llama.random_pairs(config['vocab_size'], generator)[:2]
    lora = {**trl_orpo.LORA, 'r': 2, 'target_modules': TARGETS.get(name, QKVO + MLP)}
    with torch.no_grad():
        logits = trl_orpo.load(directory)(torch.tensor([ids]), use_cache=False).logits[0]
    orpo, tensors = make.micro_batch(directory, pairs, ids, seed, lora)
    kept = {key: value for key, value in tensors.items() if not key.startswith('grad_')}
    content = {
        'made': make.made(seed),
        'model': f'test/golden/{case}',
        'arithmetic': {'dtype': 'float32', 'attention': 'eager', 'threads': 1},
        'lora': lora,
        'ids': ids,
        'pairs': pairs,
        'orpo': {key: orpo[key] for key in KEPT},
    }
    make.write(case, content)
    make.write_tensors(case, seed, {'logits': logits, **kept})


def main(wanted):
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for place, (name, fields) in enumerate(FAMILIES.items()):
        if not wanted or name in wanted:
            family(name, fields, 500 + place)


if __name__ == '__main__':
    main(sys.argv[1:])
