#!/usr/bin/env bash
# Hold every pinned package against the known vulnerabilities (OSV). Prints one line, of what was held
# against what; fails if something is known, or if OSV can't be asked, unless SEQSERVE_UNAUDITED=1.
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
  if [[ ${SEQSERVE_UNAUDITED:-} != 1 ]]; then
    echo "nothing was audited: the vulnerability service can't be reached from here." \
      "SEQSERVE_UNAUDITED=1 goes on without, and a release then says so" >&2
    exit 1
  fi
  echo "NOT AUDITED: $service could not be reached on $(date --utc --iso-8601)"
  exit 0
fi
.venv/bin/pip-audit --vulnerability-service osv --requirement constraints.txt \
  --no-deps --disable-pip --progress-spinner off >&2
echo "audited: constraints.txt has nothing that OSV knew of on $(date --utc --iso-8601)"
