"""
Makes nf4.json and nf4.safetensors with bitsandbytes on the CPU: NF4 in blocks of 64, absmax quantized in
blocks of 256 (double quantization); and what TRL makes of the tiny model, whose linears bitsandbytes holds
in it (QLoRA), under the random adapter of tiny.safetensors. Beside what make.py needs:

    pip install bitsandbytes==0.50.2
    python test/golden/nf4.py

One thread: PyTorch's mean sums in an order that depends on the number of threads.
"""

import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

sys.dont_write_bytecode = True

import torch
from bitsandbytes import functional as bnb
from bitsandbytes.nn import Linear4bit
from peft import set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import BitsAndBytesConfig, LlamaForCausalLM

import trl_orpo

HERE = Path(__file__).resolve().parent
SEED = 505


def quantized(weight):
    """Codes, the absmax before it is quantized, its double-quantized form, and the weight as float32 again."""
    settings = {'quant_type': 'nf4', 'blocksize': 64}
    codes, state = bnb.quantize_4bit(weight, compress_statistics=True, **settings)
    same, single = bnb.quantize_4bit(weight, compress_statistics=False, **settings)
    assert torch.equal(codes, same)
    absmax = bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset
    # What it is dequantized to, and flat: the CPU kernel of 0.50.2 takes blocks to begin anew with each row.
    state.dtype, state.shape = torch.float32, torch.Size([weight.numel()])
    return {
        'codes': codes.flatten(),
        'single_absmax': single.absmax,
        'absmax': state.absmax,
        'nested_absmax': state.state2.absmax,
        'nested_offset': state.offset.reshape(1),
        'dequantized_absmax': absmax,
        'dequantized': bnb.dequantize_4bit(codes, state).reshape(weight.shape),
    }


def midpoints():
    """Values on the borders between codes, just below and just above: the largest of each block is 1 or a power of two."""
    code = bnb.get_4bit_type('nf4', device='cpu')
    border = (code[:-1] + code[1:]) / 2
    low, high = (torch.nextafter(border, torch.tensor(end)) for end in (-2.0, 2.0))
    block = torch.cat([torch.tensor([1.0]), code, border, low, high])[:64]
    return torch.stack([block, -block, block * 4, block * 2**-20])


def cases(generator):
    def normal(*shape):
        return torch.randn(shape, generator=generator)

    holes = normal(6, 64)
    holes[1] = 0
    holes[4, 1:] = 0
    flat = torch.where(normal(4, 64) > 0, 0.25, -0.25)
    zero_tail = normal(2, 35)
    zero_tail[1, 29:] = 0
    denormal = normal(2, 64) * 1e-39
    # Some weights of a linear are far from the others.
    many = normal(131, 149) * 0.02 * (1 + 9 * (torch.rand(131, 1, generator=generator) < 0.1))
    return {
        'odd': normal(3, 43),
        'short': normal(5),
        'holes': holes,
        'flat': flat,
        'zero_tail': zero_tail,
        'denormal': denormal,
        'midpoints': midpoints(),
        'float16': normal(24, 96).to(torch.float16),
        'many': many.to(torch.bfloat16),
    }


def generated(rows, columns):
    """Whole numbers over 2^24, from a multiplicative hash of their index and smaller in some blocks: exact anywhere."""
    index = torch.arange(rows * columns)
    hashed = ((index * 2654435761) % 2**32) // 2**8
    shrunk = (hashed - 2**23) // 2 ** ((index // 64) % 5)
    return (shrunk.to(torch.float32) / 2**24).reshape(rows, columns)


def digest(tensor):
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


def qlora(name):
    """Loss, metrics and gradients of pairs 0 and 1, as make.py has them for the model in float32."""
    four_bits = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type='nf4',
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    model = LlamaForCausalLM.from_pretrained(
        HERE / name,
        dtype=torch.float32,
        attn_implementation='eager',
        quantization_config=four_bits,
        device_map='cpu',
    )
    held = [key for key, module in model.named_modules() if isinstance(module, Linear4bit)]
    assert len(held) == 7 * model.config.num_hidden_layers, held
    golden = json.loads((HERE / f'{name}.json').read_text())
    run = trl_orpo.trainer(model, golden['pairs'], golden['made']['seed'], trl_orpo.SETTINGS)
    stored = load_file(HERE / f'{name}.safetensors')
    adapter = {key: value for key, value in stored.items() if key.startswith('base_model')}
    set_peft_model_state_dict(run.model, adapter)
    run.model.train()  # In eval mode, CPUs with bfloat16 instructions compute the first linears in bfloat16.
    metrics, grad, _ = trl_orpo.micro_batch(run)
    return metrics, grad


def main():
    torch.set_num_threads(1)
    tensors = {}
    for name, weight in cases(torch.Generator().manual_seed(SEED)).items():
        parts = {'weight': weight, **quantized(weight)}
        tensors |= {f'{name}.{part}': value.contiguous() for part, value in parts.items()}
    metrics, grad = qlora('tiny')
    tensors |= {f'qlora.{key}': value.contiguous() for key, value in grad.items()}
    packages = {name: version(name) for name in ('torch', 'transformers', 'trl', 'peft')}
    packages['bitsandbytes'] = version('bitsandbytes')
    made = {'by': 'test/golden/nf4.py', **packages, 'seed': SEED}
    save_file(tensors, HERE / 'nf4.safetensors', {'made': json.dumps(made)})
    (HERE / 'nf4.safetensors').chmod(0o644)
    rows, columns = 576, 577
    large = {name: digest(part) for name, part in quantized(generated(rows, columns)).items()}
    content = {
        'made': made,
        'generated': {'rows': rows, 'columns': columns, 'sha256': large},
        'qlora': {'model': 'tiny', 'pairs': [0, 1], 'metrics': metrics},
    }
    (HERE / 'nf4.json').write_text(json.dumps(content, indent=2) + '\n')


if __name__ == '__main__':
    main()
