#!/usr/bin/env bash
# debian_package.sh PACKAGE COMMAND...: a package of Debian's that some tests need for these commands. If
# one is missing it is installed where apt-get may be used; elsewhere a line says so, and those tests are
# skipped.
set -euo pipefail
package=$1
shift

there() { for it in "$@"; do command -v "$it" >/dev/null || return 1; done; }

as_root() { if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi; }

there "$@" && exit
if command -v apt-get >/dev/null && as_root true 2>/dev/null; then
  echo "installing $package with apt-get, for the tests that need it" >&2
  as_root apt-get update -qq >/dev/null || true # an old list may do
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "$package" >/dev/null || true
fi
there "$@" || echo "no $package here, and apt-get can't give it: its tests are skipped" >&2
