"""
A Llama in Hugging Face layout as the GGUF file that llama.cpp reads, with matrices in float32 or float16.

    python gguf_weights.py MODEL FILE f32|f16

Of the tokenizer only what llama.cpp refuses to be without: the benchmark hands it token ids.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from safetensors import safe_open

model, file, precision = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
matrix = {'f32': np.float32, 'f16': np.float16}[precision]
config = json.loads((model / 'config.json').read_text())
heads, kv_heads = config['num_attention_heads'], config['num_key_value_heads']
head_dim = config.get('head_dim') or config['hidden_size'] // heads
assert config['model_type'] == 'llama' and not config.get('rope_scaling'), 'only plain Llamas are converted'

writer = gguf.GGUFWriter(file, 'llama')
writer.add_vocab_size(config['vocab_size'])
writer.add_context_length(config['max_position_embeddings'])
writer.add_embedding_length(config['hidden_size'])
writer.add_block_count(config['num_hidden_layers'])
writer.add_feed_forward_length(config['intermediate_size'])
writer.add_head_count(heads)
writer.add_head_count_kv(kv_heads)
writer.add_layer_norm_rms_eps(config['rms_norm_eps'])
writer.add_rope_freq_base(config.get('rope_theta') or config['rope_parameters']['rope_theta'])
writer.add_rope_dimension_count(head_dim)

tokenizer = json.loads((model / 'tokenizer.json').read_text())
special = {token['content'] for token in tokenizer['added_tokens']}
tokens = sorted(
    {**tokenizer['model']['vocab'], **{t['content']: t['id'] for t in tokenizer['added_tokens']}}.items(),
    key=lambda item: item[1],
)
assert [at for _, at in tokens] == list(range(config['vocab_size'])), 'a token for every row of the embedding'
writer.add_tokenizer_model('gpt2')
writer.add_tokenizer_pre('smollm')
writer.add_token_list([text for text, _ in tokens])
writer.add_token_types(
    [gguf.TokenType.CONTROL if text in special else gguf.TokenType.NORMAL for text, _ in tokens]
)
writer.add_token_merges([m if isinstance(m, str) else ' '.join(m) for m in tokenizer['model']['merges']])
writer.add_bos_token_id(config['bos_token_id'])
writer.add_eos_token_id(config['eos_token_id'])
writer.add_add_bos_token(False)

names = {
    'model.embed_tokens.weight': 'token_embd.weight',
    'model.norm.weight': 'output_norm.weight',
    'lm_head.weight': 'output.weight',
}
parts = {
    'input_layernorm': 'attn_norm',
    'self_attn.q_proj': 'attn_q',
    'self_attn.k_proj': 'attn_k',
    'self_attn.v_proj': 'attn_v',
    'self_attn.o_proj': 'attn_output',
    'post_attention_layernorm': 'ffn_norm',
    'mlp.gate_proj': 'ffn_gate',
    'mlp.up_proj': 'ffn_up',
    'mlp.down_proj': 'ffn_down',
}
for layer in range(config['num_hidden_layers']):
    for theirs, ours in parts.items():
        names[f'model.layers.{layer}.{theirs}.weight'] = f'blk.{layer}.{ours}.weight'


def interleaved(weight, count):
    """Rotary pairs are (i, i + D/2) in Hugging Face's rows of a head, (2i, 2i + 1) in llama.cpp's."""
    rows, columns = weight.shape
    return weight.reshape(count, 2, rows // count // 2, columns).swapaxes(1, 2).reshape(rows, columns)


for stored in sorted(model.glob('*.safetensors')):
    with safe_open(stored, framework='pt') as tensors:
        for name in tensors.keys():
            if name == 'lm_head.weight' and config['tie_word_embeddings']:
                continue
            weight = tensors.get_tensor(name).float().numpy()
            if name.endswith('q_proj.weight'):
                weight = interleaved(weight, heads)
            if name.endswith('k_proj.weight'):
                weight = interleaved(weight, kv_heads)
            writer.add_tensor(names[name], np.ascontiguousarray(weight, matrix if weight.ndim == 2 else np.float32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
