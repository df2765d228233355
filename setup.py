"""The native part: built beside the service's Python, as `service.native`."""

from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup


def sources(pattern: str) -> list[str]:
    """Files of native/, in one order everywhere."""
    return sorted(str(path) for path in Path("native").rglob(pattern))


NATIVE = Pybind11Extension(
    "service.native",
    sources("*.cpp"),
    include_dirs=["native"],
    depends=sources("*.hpp"),
    cxx_std=20,
    extra_compile_args=["-O2", "-Wall", "-Wextra"],
)

ParallelCompile("SEQSERVE_BUILD_JOBS", default=0).install()  # 0: as many as there are cores
setup(ext_modules=[NATIVE])
