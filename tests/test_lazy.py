"""Public names that are imported when they are first used."""

import ast
from importlib import import_module

import pytest

from tests.fresh import loaded
from tests.import_graph import PACKAGE

LAZY = [
    path.parent for path in sorted(PACKAGE.rglob("__init__.py")) if "lazy_names" in path.read_text(encoding="utf-8")
]


def dotted(folder):
    return ".".join(folder.relative_to(PACKAGE.parent).parts)


@pytest.mark.parametrize("folder", LAZY, ids=dotted)
def test_type_checkers_see_the_names_that_users_get(folder):
    package = import_module(dotted(folder))
    (block,) = (node for node in ast.parse((folder / "__init__.py").read_text()).body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert sorted(seen) == sorted({*package.__all__} - {"__version__"})
    for name, module in seen.items():
        assert getattr(package, name) is getattr(import_module(module), name)


def test_each_name_can_be_the_first_that_is_used():
    names = [(dotted(folder), name) for folder in LAZY for name in import_module(dotted(folder)).__all__]
    program = f"""
import sys
from importlib import import_module
for package, name in {names}:
    for module in [module for module in sys.modules if module.partition(".")[0] in ("recbole", "recbole_sigma")]:
        del sys.modules[module]
    assert name in dir(import_module(package))
    exec(f"from {{package}} import {{name}}")
"""
    assert loaded(program) == []


def test_modules_are_attributes_of_the_package_that_is_imported():
    program = """
import recbole_sigma
recbole_sigma.errors.RequestError, recbole_sigma.quick_start.build_run, recbole_sigma.data.tables.read_table
assert not hasattr(recbole_sigma, "no_such_module")
try:
    recbole_sigma.data.no_such_name
except AttributeError as error:
    assert str(error) == "module 'recbole_sigma.data' has no attribute 'no_such_name'"
from recbole_sigma import *
assert load is recbole_sigma.load and Config is recbole_sigma.config.Config
"""
    assert loaded(program, "recbole_sigma.__main__") == []


def test_a_module_whose_library_is_missing_says_which():
    program = """
import sys
sys.modules["recbole"] = None
import recbole_sigma
for attribute in ("load", "quick_start"):
    try:
        getattr(recbole_sigma, attribute)
        raise AssertionError(attribute)
    except ImportError as error:
        assert "recbole" in str(error), error
"""
    assert loaded(program) == []
