"""The graph of imports on small packages, where circles and upward imports are known."""

import pytest

from tests.import_graph import circles, read_graph, upward


@pytest.fixture
def package(tmp_path):
    """A function that writes a package named ``p`` and reads its graph; the files are given as ``{path: text}``."""

    def write(files):
        for path, text in {"__init__.py": "", **files}.items():
            file = tmp_path / "p" / path
            file.parent.mkdir(exist_ok=True, parents=True)
            file.write_text(text)
        return read_graph(tmp_path / "p")

    return write


IMPORTS_B = {
    "plain": "import p.b",
    "with another name": "import p.b as b",
    "a module of a package": "from p import b",
    "a name of a module": "from p.b import name",
    "inside a function": "def run():\n    from p.b import name",
    "inside a method": "class A:\n    def run(self):\n        import p.b",
    "for type checkers": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.b import name",
    "by a constant name": "from importlib import import_module\nimport_module('p.b')",
    "in a condition": "try:\n    import p.b\nexcept ImportError:\n    pass",
}


@pytest.mark.parametrize("kind", IMPORTS_B)
def test_every_import_counts(package, kind):
    graph = package({"a.py": IMPORTS_B[kind], "b.py": "import os, torch\nfrom p import a"})
    assert graph == {"p": set(), "p.a": {"p.b"}, "p.b": {"p.a"}}
    assert circles(graph) == [["p.a", "p.b"]]


def test_a_name_of_a_folder_comes_from_its_init_and_a_module_from_its_own_file(package):
    graph = package({"a.py": "from p.f import name", "b.py": "from p.f import c", "f/__init__.py": "", "f/c.py": ""})
    assert graph["p.a"] == {"p.f"} and graph["p.b"] == {"p.f.c"}


def test_files_in_a_folder_whose_init_imports_them_are_a_circle_only_if_they_import_it(package):
    files = {"f/__init__.py": "from p.f.c import name", "f/c.py": "from p.f.d import name", "f/d.py": ""}
    assert circles(package(files)) == []
    assert circles(package({**files, "f/d.py": "def run():\n    from p.f import name"})) == [["p.f", "p.f.c", "p.f.d"]]


def test_circles_of_any_length_are_found_and_what_leads_into_them_is_not_in_them(package):
    graph = package(
        {
            "a.py": "import p.b",
            "b.py": "import p.c",
            "c.py": "import p.d\nimport p.e",
            "d.py": "import p.b",
            "e.py": "",
            "f.py": "import p.g",
            "g.py": "import p.f\nimport p.b",
            "h.py": "import p.h",
        }
    )
    assert circles(graph) == [["p.b", "p.c", "p.d"], ["p.f", "p.g"], ["p.h"]]


def test_upward_imports_are_found_in_functions_too(package):
    graph = package(
        {
            "data/rows.py": "from p.model.base import name\nfrom p.data.other import name",
            "data/other.py": "import p.errors",
            "model/base.py": "def run():\n    from p.config.keys import name",
            "config/keys.py": "import p.model.base",
            "errors.py": "",
        }
    )
    assert upward(graph) == [("p.model.base", "p.config.keys")]


def test_a_file_without_a_layer_is_an_error(package):
    with pytest.raises(ValueError, match=r"expected 'novelty' in LAYERS"):
        upward(package({"novelty.py": "import p.errors", "errors.py": ""}))


def test_relative_imports_are_an_error(package):
    with pytest.raises(ValueError, match="expected the full name"):
        package({"a.py": "from . import b", "b.py": ""})
