"""`service.native` is built so that an overrun buffer ends the process instead of serving it."""

from __future__ import annotations

import re
import shutil
import subprocess

from service import native


def elf(*options: str) -> str:
    """What binutils, which the compiler comes with, read of the module as it was built."""
    readelf = shutil.which("readelf")
    assert readelf, "binutils are not installed"
    return subprocess.check_output([readelf, "--wide", *options, native.__file__], text=True)


def test_the_native_part_is_hardened() -> None:
    segments, dynamic, symbols = elf("--segments"), elf("--dynamic"), elf("--dyn-syms")
    # full RELRO: all is bound when it is loaded, and read-only from then on
    assert "GNU_RELRO" in segments
    assert re.search(r"\(FLAGS\).*BIND_NOW", dynamic)
    assert re.search(r"\(FLAGS_1\).*NOW", dynamic)
    assert "TEXTREL" not in dynamic
    (stack,) = re.findall(r"GNU_STACK.* (R\S*) ", segments)
    assert stack == "RW", "the stack may be executed"
    assert not re.search(r"^\s*LOAD\s.* RWE ", segments, re.MULTILINE)
    assert "__stack_chk_fail" in symbols
    sanitized = re.search(r"__[at]san_init", symbols)  # then without FORTIFY: see setup.py
    assert sanitized or re.search(r"__\w+_chk@", symbols)
