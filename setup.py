"""The native part: built beside the service's Python, as `service.native`."""

from glob import glob

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup

NATIVE = Pybind11Extension(
    "service.native",
    sorted(glob("native/**/*.cpp", recursive=True)),
    include_dirs=["native"],
    depends=sorted(glob("native/**/*.hpp", recursive=True)),
    cxx_std=20,
    extra_compile_args=["-O2", "-Wall", "-Wextra"],
)

ParallelCompile("SEQSERVE_BUILD_JOBS", default=2).install()
setup(ext_modules=[NATIVE])
