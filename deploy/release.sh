#!/usr/bin/env bash
# The wheel, and a CycloneDX bill of what an environment that serves is made of, in build/release.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf build/release build/lib build/bdist.* # or the wheel would have it, too
mkdir -p build/release
PIP_BUILD_CONSTRAINT=constraints.txt .venv/bin/pip wheel --quiet --disable-pip-version-check \
  --no-deps --wheel-dir build/release .
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder"
# the wheel itself, as those who install it do, not this checkout
.venv/bin/pip --python "$folder/bin/python" install --quiet --disable-pip-version-check \
  --constraint constraints.txt "$(ls build/release/seqserve-*.whl)[grpc,remote,signing]"
.venv/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application \
  --output-format JSON --output-file build/release/sbom.cdx.json "$folder/bin/python"
ls -l build/release
