#!/usr/bin/env bash
# The wheel, and a CycloneDX bill of what an environment that serves is made of, in build/release: of
# the commit, not of what else lies here, so that one commit and one g++ make the same wheel each time.
set -euo pipefail
cd "$(dirname "$0")/.."
audited=$(./deploy/audit.sh)
echo "$audited"
rm -rf build/release
mkdir -p build/release
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
umask 022 # the modes of files are in the wheel, too
source=$folder/source
mkdir "$source"
git archive HEAD | tar --extract --no-same-permissions --directory "$source"
export PIP_DISABLE_PIP_VERSION_CHECK=1

python3 -m venv --without-pip "$folder/build"
.venv/bin/pip --python "$folder/build/bin/python" install --quiet --require-hashes \
  --only-binary :all: --requirement "$source/requirements-build.lock"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) .venv/bin/pip --python "$folder/build/bin/python" \
  wheel --quiet --no-deps --no-build-isolation --wheel-dir build/release "$source"

python3 -m venv --without-pip "$folder/serve"
.venv/bin/pip --python "$folder/serve/bin/python" install --quiet --require-hashes \
  --only-binary :all: --requirement "$source/requirements.lock"
# the wheel itself, as those who install it do, not this checkout
.venv/bin/pip --python "$folder/serve/bin/python" install --quiet \
  --constraint "$source/constraints.txt" "$(ls build/release/seqserve-*.whl)[grpc,remote,signing]"
.venv/bin/cyclonedx-py environment --pyproject "$source/pyproject.toml" --mc-type application \
  --output-format JSON --output-file "$folder/sbom.cdx.json" "$folder/serve/bin/python"
.venv/bin/python "$source/deploy/licenses/bill.py" "$audited" <"$folder/sbom.cdx.json" \
  >build/release/sbom.cdx.json
ls -l build/release
