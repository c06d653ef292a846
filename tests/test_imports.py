"""Which way imports run, and what importing the plugin brings along."""

import ast
import subprocess
import sys
from pathlib import Path

import recbole_sigma
from recbole_sigma.model import MODELS

PACKAGE = Path(recbole_sigma.__file__).parent
LAYERS = [
    {"cli", "__main__", "__init__"},
    {"export", "report", "comparison"},
    {"quick_start", "recommend"},
    {"training"},
    {"evaluation"},
    {"data"},
    {"config"},
    {"model"},
    {"layers"},
    {"losses", "ops"},
    {"compat", "defaults", "errors", "extras", "precision", "rules", "safe_write", "version"},
]
"""From top to bottom; a module imports from lower layers only, or from its own."""


def layer_of(module):
    return next(number for number, names in enumerate(LAYERS) if module in names)


def imported_modules(path):
    """Modules of the plugin that a file imports outside functions; imports inside wait, and may run upwards."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "recbole_sigma":
            names = node.module.split(".")[1:2] or [alias.name for alias in node.names]
            yield from names


def test_imports_run_downwards_only():
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        module = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for imported in imported_modules(path):
            if layer_of(imported) < layer_of(module):
                wrong.append(f"{path.relative_to(PACKAGE)} imports {imported}")
    assert not wrong


def test_no_model_imports_another():
    models = {model.__module__.rsplit(".", 1)[1] for model in MODELS.values()}
    for path in (PACKAGE / "model").glob("*.py"):
        if path.stem != "__init__":
            text = path.read_text()
            assert not any(f"recbole_sigma.model.{other}" in text for other in models)


def test_losses_layers_ops_and_sequences_know_nothing_of_recbole():
    for path in [
        PACKAGE / "losses.py",
        PACKAGE / "data" / "sequences.py",
        *(PACKAGE / "layers").glob("*.py"),
        *(PACKAGE / "ops").rglob("*.py"),
    ]:
        assert "import recbole" not in path.read_text().replace("recbole_sigma", "")
        assert "from recbole." not in path.read_text()


def test_importing_the_plugin_pulls_in_neither_ray_nor_plotly():
    program = (
        "import sys, recbole_sigma; "
        "print([name for name in ('ray', 'plotly', 'recbole.quick_start', 'hyperopt') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
