"""The native part: built beside the service's Python, as `service.native`."""

import os
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup

# What reads strangers' bytes ends at a smashed stack or an overrun buffer, and its table of foreign
# functions cannot be written once it is loaded.
HARDENED = ["-fstack-protector-strong", "-fstack-clash-protection"]
HARDENED_LINK = ["-Wl,-z,relro,-z,now,-z,noexecstack"]
if "-fsanitize" not in os.environ.get("CPPFLAGS", ""):  # which sees nothing behind FORTIFY's checks
    HARDENED += ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]  # 3 needs g++ 12


def sources(pattern: str) -> list[str]:
    """Files of native/, in one order everywhere."""
    return sorted(str(path) for path in Path("native").rglob(pattern))


NATIVE = Pybind11Extension(
    "service.native",
    sources("*.cpp"),
    include_dirs=["native"],
    depends=sources("*.hpp"),
    cxx_std=20,
    extra_compile_args=["-O2", "-Wall", "-Wextra", *HARDENED],
    extra_link_args=HARDENED_LINK,
)

ParallelCompile("SEQSERVE_BUILD_JOBS", default=0).install()  # 0: as many as there are cores
setup(ext_modules=[NATIVE])
