"""The two random Llamas: their config.json, weights of a sane scale, and token ids to feed them."""

import json

import torch
from safetensors.torch import save_file

TINY = {  # the form before transformers 5: top-level rope_theta, torch_dtype, no head_dim
    'architectures': ['LlamaForCausalLM'],
    'model_type': 'llama',
    'vocab_size': 96,
    'hidden_size': 64,
    'intermediate_size': 128,
    'num_hidden_layers': 2,
    'num_attention_heads': 4,
    'num_key_value_heads': 2,
    'hidden_act': 'silu',
    'max_position_embeddings': 256,
    'rms_norm_eps': 1e-5,
    'rope_theta': 5000.0,
    'attention_bias': False,
    'mlp_bias': False,
    'tie_word_embeddings': False,
    'bos_token_id': 1,
    'eos_token_id': 2,
    'torch_dtype': 'float32',
}

TINY_LLAMA3 = {  # the form of transformers 5; 6 heads of 16 make q_proj 96 x 48
    'architectures': ['LlamaForCausalLM'],
    'model_type': 'llama',
    'vocab_size': 80,
    'hidden_size': 48,
    'intermediate_size': 112,
    'num_hidden_layers': 2,
    'num_attention_heads': 6,
    'num_key_value_heads': 3,
    'head_dim': 16,
    'hidden_act': 'silu',
    'max_position_embeddings': 256,
    'rms_norm_eps': 1e-6,
    # Wavelengths 6.3, 19.9, 62.8, ...: one kept (< 32/4), one blended, the others scaled (> 32/1).
    'rope_parameters': {
        'rope_type': 'llama3',
        'rope_theta': 10000.0,
        'factor': 8.0,
        'low_freq_factor': 1.0,
        'high_freq_factor': 4.0,
        'original_max_position_embeddings': 32,
    },
    'attention_bias': False,
    'mlp_bias': False,
    'tie_word_embeddings': True,
    'bos_token_id': 1,
    'eos_token_id': 2,
    'dtype': 'bfloat16',
}


def weights(config, generator):
    """Linears N(0, 0.1), embeddings N(0, 0.4) or 0.2 if tied, head N(0, 0.2), norms N(1, 0.2)."""
    hidden, middle = config['hidden_size'], config['intermediate_size']
    head = config.get('head_dim', hidden // config['num_attention_heads'])
    queries, keys = config['num_attention_heads'] * head, config['num_key_value_heads'] * head
    tied = config['tie_word_embeddings']

    def normal(shape, std, mean=0.0):
        return torch.randn(shape, generator=generator) * std + mean

    vocabulary = (config['vocab_size'], hidden)
    tensors = {'model.embed_tokens.weight': normal(vocabulary, 0.2 if tied else 0.4)}
    for i in range(config['num_hidden_layers']):
        layer = f'model.layers.{i}.'
        tensors[layer + 'input_layernorm.weight'] = normal((hidden,), 0.2, 1.0)
        tensors[layer + 'self_attn.q_proj.weight'] = normal((queries, hidden), 0.1)
        tensors[layer + 'self_attn.k_proj.weight'] = normal((keys, hidden), 0.1)
        tensors[layer + 'self_attn.v_proj.weight'] = normal((keys, hidden), 0.1)
        tensors[layer + 'self_attn.o_proj.weight'] = normal((hidden, queries), 0.1)
        tensors[layer + 'post_attention_layernorm.weight'] = normal((hidden,), 0.2, 1.0)
        tensors[layer + 'mlp.gate_proj.weight'] = normal((middle, hidden), 0.1)
        tensors[layer + 'mlp.up_proj.weight'] = normal((middle, hidden), 0.1)
        tensors[layer + 'mlp.down_proj.weight'] = normal((hidden, middle), 0.1)
    tensors['model.norm.weight'] = normal((hidden,), 0.2, 1.0)
    if not tied:
        tensors['lm_head.weight'] = normal(vocabulary, 0.2)
    dtype = getattr(torch, config.get('dtype') or config['torch_dtype'])
    return {name: tensor.to(dtype) for name, tensor in tensors.items()}


def write(tensors, path):
    save_file(tensors, path, {'format': 'pt'})
    path.chmod(0o644)


def save(directory, config, tensors, shards=1):
    """A Hugging Face directory; with shards > 1 an index, cut in the order of `tensors`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / 'config.json').write_text(json.dumps(config, indent=2) + '\n')
    if shards == 1:
        write(tensors, directory / 'model.safetensors')
        return
    names, place = list(tensors), {}
    for i in range(shards):
        file = f'model-{i + 1:05}-of-{shards:05}.safetensors'
        part = names[i * len(names) // shards : (i + 1) * len(names) // shards]
        write({name: tensors[name] for name in part}, directory / file)
        place |= {name: file for name in part}
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {'metadata': {'total_size': size}, 'weight_map': dict(sorted(place.items()))}
    (directory / 'model.safetensors.index.json').write_text(json.dumps(index, indent=2) + '\n')


def check(config, model):
    """transformers took the rotary settings from where this config has them, and they matter."""
    got = model.config.rope_parameters
    theta = config.get('rope_theta') or config['rope_parameters']['rope_theta']
    assert got['rope_theta'] == theta, f'rope_theta {got}, expected {theta}'
    head = config.get('head_dim', config['hidden_size'] // config['num_attention_heads'])
    plain = theta ** -(torch.arange(0, head, 2) / head)
    ratio = model.model.rotary_emb.inv_freq / plain
    kept, scaled = (ratio > 0.999).sum(), (ratio < 0.126).sum()
    llama3 = 'rope_parameters' in config
    expected = (1, head // 2 - 2) if llama3 else (head // 2, 0)
    assert (kept, scaled) == expected, f'{kept} frequencies kept, {scaled} scaled, not {expected}'


# Token counts (prompt, chosen, rejected) of the eight pairs.
LENGTHS = [(5, 7, 3), (9, 2, 6), (3, 12, 8), (14, 5, 5)]
LENGTHS += [(4, 3, 11), (11, 9, 2), (6, 4, 10), (8, 6, 7)]


def random_pairs(vocabulary, generator):
    """
    Eight pairs of random ids, bos first, end token last in each answer. Two are special: the
    answers of pair 3 begin with the same two tokens, and the rejected answer of pair 5 is the
    beginning of the chosen one.
    """

    def ids(n):
        return torch.randint(3, vocabulary, (n,), generator=generator).tolist()

    pairs = []
    for prompt, chosen, rejected in LENGTHS:
        before = [1] + ids(prompt - 1)
        answers = {'chosen': ids(chosen - 1) + [2], 'rejected': ids(rejected - 1) + [2]}
        pairs.append({'prompt': before, **answers})
    pairs[3]['rejected'][:2] = pairs[3]['chosen'][:2]
    pairs[5]['rejected'] = pairs[5]['chosen'][: LENGTHS[5][2]]
    return pairs


def random_ids(vocabulary, generator, n=24):
    return [1] + torch.randint(3, vocabulary, (n - 1,), generator=generator).tolist()
