#!/usr/bin/env bash
# Fetches onnxruntime's CUDA provider of the version that package-lock.json pins, from PyPI, into .cache/ (250 MB, once).
set -euo pipefail
cd "$(dirname "$0")/../.."
version=$(sed -n 's/.*"onnxruntime-node": "\(.*\)".*/\1/p' package.json)
folder=.cache/onnxruntime-gpu-$version
[ -f "$folder/libonnxruntime_providers_cuda.so" ] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
timeout 300 python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 \
  --platform manylinux_2_28_x86_64 --timeout 30 --retries 2 --dest "$work" "onnxruntime-gpu==$version"
mkdir -p "$folder"
python3 - "$work" "$folder" <<'PYTHON'
import glob, os, shutil, sys, zipfile
work, folder = sys.argv[1:]
with zipfile.ZipFile(glob.glob(f'{work}/*.whl')[0]) as wheel:
    # The large one last, under its name only when it is whole: it is what says that the folder is complete.
    for name in ('shared', 'cuda'):
        file = f'libonnxruntime_providers_{name}.so'
        with wheel.open(f'onnxruntime/capi/{file}') as source, open(f'{folder}/{file}.part', 'wb') as target:
            shutil.copyfileobj(source, target)
        os.rename(f'{folder}/{file}.part', f'{folder}/{file}')
PYTHON
