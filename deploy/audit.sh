#!/usr/bin/env bash
# Hold every pinned package against the known vulnerabilities (OSV); skipped where that can't be asked.
set -euo pipefail
cd "$(dirname "$0")/.."
service=https://api.osv.dev/v1/query
if ! .venv/bin/python - "$service" <<'PYTHON'; then
import sys, urllib.request
question = b'{"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "25.0"}'
try:
    urllib.request.urlopen(urllib.request.Request(sys.argv[1], question), timeout=10).read()
except OSError as error:
    sys.exit(f"{sys.argv[1]}: {error}")
PYTHON
  echo "SKIPPED: the vulnerability service can't be reached from here; nothing was audited" >&2
  exit 0
fi
.venv/bin/pip-audit --vulnerability-service osv --requirement constraints.txt \
  --no-deps --disable-pip --progress-spinner off
