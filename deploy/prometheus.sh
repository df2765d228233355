#!/usr/bin/env bash
# Debian's Prometheus, for the tests that need it: `prometheus` and `promtool`. What is missing is
# installed where apt-get may be used; elsewhere a line says so, and those tests are skipped.
set -euo pipefail

there() { command -v prometheus >/dev/null && command -v promtool >/dev/null; }

as_root() { if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi; }

there && exit
if command -v apt-get >/dev/null && as_root true 2>/dev/null; then
  echo "installing prometheus with apt-get, for the tests of the alerts" >&2
  as_root apt-get update -qq >/dev/null || true # an old list may do
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o DPkg::Lock::Timeout=300 prometheus >/dev/null || true
fi
there || echo "no Prometheus here, and apt-get can't give it: its tests are skipped" >&2
