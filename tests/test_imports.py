"""Which way imports run, and what importing the plugin brings along."""

import pytest

from recbole_sigma.model import MODELS
from tests.fresh import loaded
from tests.import_graph import PACKAGE, circles, read_graph, upward


# Which way they run


def test_no_circle_of_files():
    assert circles(read_graph()) == []


def test_imports_run_downwards_only():
    assert upward(read_graph()) == []


def test_no_model_imports_another():
    models = {model.__module__.rsplit(".", 1)[1] for model in MODELS.values()}
    for path in (PACKAGE / "model").glob("*.py"):
        if path.stem not in ("__init__", "registry"):
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


# What they bring along


def command(code, *words):
    """A program that runs a command of the plugin and expects an exit code."""
    return f"""
from recbole_sigma.cli import main
try:
    code = main({list(words)})
except SystemExit as end:
    code = end.code
assert code == {code}, code
"""


LIBRARIES = ("torch", "numpy", "pandas", "scipy", "sklearn", "recbole", "yaml")


def test_importing_the_plugin_loads_no_library():
    assert loaded("import recbole_sigma", *LIBRARIES) == []


def test_help_version_and_wrong_usage_need_no_library():
    commands = ("recommend", "explain", "report", "export", "prepare")
    right = [["--help"], ["--version"], *([name, "--help"] for name in commands)]
    wrong = [["recomend"], *([name, "--no-such-option"] for name in commands)]
    wrong += [["recommend", "--checkpoint=a.pth"], ["export", "--checkpoint=a.pth", "--format=word"]]
    program = "".join(command(0, *words) for words in right) + "".join(command(2, *words) for words in wrong)
    assert loaded(program, *LIBRARIES) == []


def test_operations_on_tensors_need_torch_alone():
    program = "from recbole_sigma.ops import interest_cross_entropy; from recbole_sigma import losses"
    assert loaded(program, "pandas", "scipy", "sklearn", "recbole", "recbole_sigma.compat") == []


def test_prepare_needs_no_torch(tmp_path):
    (tmp_path / "shop.csv").write_text("customer,product,date\na,x,1\na,y,2\n")
    words = ["prepare", "shop.csv", "--user=customer", "--item=product", "--time=date"]
    assert loaded(command(0, *words), "torch", "scipy", "recbole.utils", folder=tmp_path) == []
    assert (tmp_path / "dataset" / "shop" / "shop.inter").exists()


@pytest.mark.parametrize("name", ["recommend", "explain"])
def test_commands_for_one_history_load_nothing_for_training(name, trained, tmp_path):
    words = [name, f"--checkpoint={trained}", "--device=cpu", "--history", "i1 i2"]
    training = ("recbole.evaluator", "recbole.config", "recbole.trainer", "recbole_sigma.config.config")
    training += ("recbole_sigma.data.dataset", "recbole_sigma.training.trainer", "recbole_sigma.quick_start")
    libraries = ("sklearn", "scipy.stats", "ray", "plotly", "hyperopt", "triton", "faiss")
    assert loaded(command(0, *words), *training, *libraries, folder=tmp_path) == []


def test_training_loads_neither_ray_nor_plotly_nor_hyperopt():
    program = "from recbole_sigma import Config, Recommender, compare_models, load, run_recbole_sigma"
    assert loaded(program, "ray", "plotly", "hyperopt", "recbole.quick_start") == []


@pytest.mark.parametrize("checkpoint", ["trained", "missing"])
def test_the_garbage_collector_is_on_after_the_model_is_loaded_and_skips_what_was_imported(checkpoint, trained):
    words = ["recommend", f"--checkpoint={trained if checkpoint == 'trained' else 'missing.pth'}", "--history", "i1"]
    program = f"import gc{command(0 if checkpoint == 'trained' else 2, *words)}assert gc.isenabled()"
    assert loaded(f"{program} and gc.get_freeze_count() > 100_000") == []
    assert loaded(f"import torch; {program} and gc.get_freeze_count() == 0") == []
