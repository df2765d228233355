"""The type stub tells of all that the native module has, and of nothing else."""

from __future__ import annotations

import ast

import pytest

from service import native
from tests.servers import CHECKOUT

STUB = ast.parse((CHECKOUT / "service" / "native.pyi").read_text())
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}


def names_in(body: list[ast.stmt]) -> set[str]:
    """What these statements declare."""
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    annotated = (node.target for node in body if isinstance(node, ast.AnnAssign))
    return functions | {target.id for target in annotated if isinstance(target, ast.Name)}


def test_the_module_has_what_the_stub_says() -> None:
    public = {name for name in vars(native) if not name.startswith("_")}
    assert public == names_in(STUB.body)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_has_what_the_stub_says(name: str) -> None:
    of_python = {"on_done", "failure"}  # set by those who ask
    declared = names_in(CLASSES[name].body) - {"__init__"} - of_python
    has = {each for each in vars(getattr(native, name)) if not each.startswith("_")}
    assert declared == has


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_is_derived_as_the_stub_says(name: str) -> None:
    bases = [base.id for base in CLASSES[name].bases if isinstance(base, ast.Name)]
    derived_from = [base.__name__ for base in getattr(native, name).__mro__[1:2]]
    assert derived_from == (bases or ["pybind11_object"])
