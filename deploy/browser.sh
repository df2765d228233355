#!/usr/bin/env bash
# Debian's Chromium, for the tests of the pages. If it is missing it is installed where apt-get may be
# used; elsewhere a line says so, and those tests are skipped.
set -euo pipefail

there() { command -v chromium >/dev/null; }

as_root() { if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi; }

there && exit
if command -v apt-get >/dev/null && as_root true 2>/dev/null; then
  echo "installing chromium with apt-get, for the tests of the pages" >&2
  as_root apt-get update -qq >/dev/null || true # an old list may do
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o DPkg::Lock::Timeout=300 chromium >/dev/null || true
fi
there || echo "no chromium: the tests of the pages are skipped" >&2
