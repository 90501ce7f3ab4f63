#!/usr/bin/env bash
# Fetches llama.cpp as node-llama-cpp's prebuilt package for this machine from npm, and PyPI's gguf, which writes its files, into
# .cache/llama-cpp (85 MB, once). Nothing of them runs while they are installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=.cache/llama-cpp
[ -d "$folder" ] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
machine=$(node -p 'process.platform + "-" + process.arch')
case $machine in darwin-arm64) machine=mac-arm64-metal ;; darwin-x64) machine=mac-x64 ;; esac
echo '{ "private": true }' > "$work/package.json"
npm install --prefix "$work" --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error \
  node-llama-cpp@3.22.1 "@node-llama-cpp/$machine@3.22.1"
python3 -m pip install --quiet --no-deps --target "$work/python" gguf==0.19.0
mkdir -p .cache
mv "$work" "$folder"
