#!/usr/bin/env bash
# Write requirements.lock and requirements-build.lock anew: what the image installs and what builds the
# wheel, as constraints.txt pins it, with the hashes of every file that the index has of each. An index
# other than PyPI: UV_DEFAULT_INDEX.
#   deploy/hashes.sh [FOLDER]     FOLDER has uv and python: .venv/bin
set -euo pipefail
cd "$(dirname "$0")/.."
tools=${1:-.venv/bin}
# one lock for every platform and every Python from the oldest that pyproject.toml allows
compile() {
  "$tools/uv" --quiet --no-config pip compile --universal --python-version 3.11 --constraints constraints.txt \
    --generate-hashes --no-annotate --upgrade --custom-compile-command "make lock" --output-file "$@"
}
compile requirements.lock pyproject.toml
"$tools/python" -c 'import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' |
  compile requirements-build.lock -

# what is locked can be installed, without building anything, where servers run
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for machine in x86_64 aarch64; do
  for python in 3.11 3.12 3.13; do
    "$tools/uv" --quiet --no-config pip install --dry-run --target "$folder" --require-hashes \
      --only-binary :all: --python-platform "$machine-manylinux_2_28" --python-version "$python" \
      --requirements requirements.lock --requirements requirements-build.lock
  done
done
