#!/usr/bin/env bash
# What `service.native` is built with: a C++20 compiler and Python's headers. What is missing is
# installed where apt-get may be used; elsewhere a line says what to install.
#   deploy/toolchain.sh [PYTHON]
set -euo pipefail
python=${1:-python3}
# the compiler that setuptools will take, where the headers lie, the package that has them
{ read -r built_with; read -r headers; read -r package; } < <("$python" -c '
import sys, sysconfig
print(sysconfig.get_config_var("CXX") or "c++")
print(sysconfig.get_path("include"))
print(f"python3.{sys.version_info.minor}-dev")')
compiler=${CXX:-$built_with}

# Python's headers, C++20, and reading a double with <charconv>, which g++ 10 cannot yet.
compiles() {
  # shellcheck disable=SC2086 # CXX may hold flags too
  printf '%s\n' '#include <Python.h>' '#include <bit>' '#include <charconv>' \
    'auto read(const char* text, double& value) { return std::from_chars(text, text, value); }' |
    $compiler -std=c++20 -fsyntax-only -I"$headers" -x c++ - 2>/dev/null
}

may_install() {
  command -v apt-get >/dev/null && { ((EUID == 0)) || sudo -n true 2>/dev/null; }
}

as_root() { if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi; }

compiles && exit
missing=()
command -v "${compiler%% *}" >/dev/null || missing+=(g++)
[[ -f $headers/Python.h ]] || missing+=("$package")
if ((${#missing[@]})) && may_install; then
  echo "installing ${missing[*]} with apt-get, to build service.native" >&2
  as_root apt-get update -qq >/dev/null || true # an old list may do
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null || true # the next line says what is still missing
fi
compiles && exit
echo "service.native needs a C++20 compiler (g++ 11 or newer; '$compiler' was tried, CXX names" \
  "another) and Python's headers ($headers/Python.h): install g++ and $package (Debian, Ubuntu)" \
  "or gcc-c++ and python3-devel (Fedora)" >&2
exit 1
