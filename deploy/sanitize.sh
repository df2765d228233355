#!/usr/bin/env bash
# Run tests with a `service.native` that a sanitizer watches, built apart in build/KIND.
#   deploy/sanitize.sh address|thread TEST...
# The servers that tests start are watched too; one that has found something does not end with 0.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1
python=$PWD/.venv/bin/python
folder=$PWD/build/$kind
run=(env)
rm -rf "$folder"
mkdir -p "$folder"

case $kind in
address)
  flags="-fno-omit-frame-pointer -D_GLIBCXX_ASSERTIONS"
  flags+=" -fsanitize=address,undefined -fno-sanitize-recover=undefined"
  library=libasan.so
  # Python and its libraries keep things to the end; with malloc, its own objects are watched too
  run+=(ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 PYTHONMALLOC=malloc)
  ;;
thread)
  flags="-fsanitize=thread"
  library=libtsan.so
  # onnxruntime is not built for this: what its own threads do among themselves looks like a race
  echo "race:onnxruntime_pybind11_state" >"$folder/suppressions"
  run+=("TSAN_OPTIONS=suppressions=$folder/suppressions")
  # g++ 13 and older know only addresses that are not spread as widely as newer kernels spread them
  if setarch "$(uname -m)" -R true 2>/dev/null; then run=(setarch "$(uname -m)" -R "${run[@]}"); fi
  ;;
*)
  echo "address or thread, not $kind" >&2
  exit 2
  ;;
esac

CXX=g++ CPPFLAGS="-g $flags" "$python" setup.py --quiet build --build-base "$folder" \
  --build-lib "$folder/lib" --build-temp "$folder/temp"
# Python itself is not built so: the sanitizer has to come in first, and what it watches with it.
# PYTHONSAFEPATH, because it is not service/ of this folder that is to be imported.
run+=("LD_PRELOAD=$(g++ -print-file-name="$library") $(g++ -print-file-name=libstdc++.so)")
run+=(PYTHONSAFEPATH=1 "PYTHONPATH=$folder/lib")
"${run[@]}" "$python" -c "
from service import native
assert native.__file__.startswith('$folder/'), native.__file__"
# curl, which the README's test starts, hangs with a sanitizer in it
"${run[@]}" "$python" -m pytest --import-mode=append --capture=sys -q \
  --ignore tests/http/test_readme.py "${@:2}"
