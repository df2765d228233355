#!/usr/bin/env bash
# The wheel, and a CycloneDX bill of what an environment that serves is made of, in build/release.
# The wheel is the same to the byte, whenever one commit is built with one g++.
set -euo pipefail
cd "$(dirname "$0")/.."
audited=$(./deploy/audit.sh)
echo "$audited"
rm -rf build/release build/lib build/lib.* build/bdist.* # or the wheel would have it, too
mkdir -p build/release
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1

python3 -m venv --without-pip "$folder/build"
.venv/bin/pip --python "$folder/build/bin/python" install --quiet --require-hashes \
  --only-binary :all: --requirement requirements-build.lock
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) .venv/bin/pip --python "$folder/build/bin/python" \
  wheel --quiet --no-deps --no-build-isolation --wheel-dir build/release .

python3 -m venv --without-pip "$folder/serve"
.venv/bin/pip --python "$folder/serve/bin/python" install --quiet --require-hashes \
  --only-binary :all: --requirement requirements.lock
# the wheel itself, as those who install it do, not this checkout
.venv/bin/pip --python "$folder/serve/bin/python" install --quiet \
  --constraint constraints.txt "$(ls build/release/seqserve-*.whl)[grpc,remote,signing]"
.venv/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application \
  --output-format JSON --output-file "$folder/sbom.cdx.json" "$folder/serve/bin/python"
.venv/bin/python deploy/licenses/bill.py "$audited" <"$folder/sbom.cdx.json" \
  >build/release/sbom.cdx.json
ls -l build/release
