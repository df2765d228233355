#!/usr/bin/env bash
# Resolve pyproject.toml in a fresh environment and pin all of it, so that an install is the same tomorrow;
# then the hashes of what the image installs, and the licences of it.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
./deploy/toolchain.sh python3
python3 -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check '.[train,dev,ray]'
{
  echo "# Written by \`make lock\` with $(python3 --version); pip reads it with -c."
  # with --all setuptools too, which builds; a build's local label (torch's +cpu) is left out, so that
  # the pin holds on any platform
  "$folder/bin/pip" freeze --all --exclude pip --exclude seqserve | sed 's/+[a-z0-9.]*$//'
} >constraints.txt
./deploy/hashes.sh "$folder/bin"
"$folder/bin/python" deploy/licenses/third_party.py
