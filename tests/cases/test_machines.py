"""The same on every library, whatever the program around the run has set up, and whatever lies in its folder."""

import ast
import logging
import os
from pathlib import Path

import pytest

from recbole_sigma import compare_models, run_recbole_sigma
from recbole_sigma.cli import main
from recbole_sigma.errors import ConfigError, RecBoleSigmaError
from tests.cases.made_up import base, write_atomic
from tests.cases.running import recbole_sigma
from tests.fresh import ROOT, fresh

ONE_EPOCH = {"epochs": 1, "show_progress": False}


def test_case_18_a_script_for_recbole_runs_after_the_import_without_pkg_resources(tmp_path):
    write_atomic(tmp_path, base())
    printed = fresh(
        f"""
        import os, sys
        sys.modules["pkg_resources"] = None  # an import of it fails, as with today's setuptools
        sys.argv = ["script"]
        import recbole_sigma
        from recbole.quick_start import run_recbole
        os.chdir({str(tmp_path)!r})
        settings = {{"data_path": ".", "epochs": 1, "show_progress": False, "state": "ERROR", "use_gpu": False}}
        result = run_recbole(model="BPR", dataset="d", config_dict=settings)
        print(sorted(result["test_result"]), "ray" in sys.modules)
        """
    )
    assert printed.splitlines()[-1] == "['hit@10', 'mrr@10', 'ndcg@10', 'precision@10', 'recall@10'] False"


def test_case_18_tuning_reports_to_the_real_ray(tmp_path):
    package = tmp_path / "ray"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "tune.py").write_text("def report(**result):\n    print('reported', result)\n")
    printed = fresh(
        f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        import recbole_sigma
        from recbole.quick_start import quick_start
        print("ray" in sys.modules)
        quick_start.tune.report(recall=0.5)
        """
    )
    assert printed.splitlines() == ["False", "reported {'recall': 0.5}"]


def run_in(folder, monkeypatch, **settings):
    monkeypatch.chdir(folder)
    return run_recbole_sigma("BPR", "d", config_dict={"data_path": ".", **ONE_EPOCH, **settings})


def test_case_25_each_line_once_and_the_root_logger_as_it_was(tmp_path):
    write_atomic(tmp_path, base())
    program = f"""
        import logging, os, sys
        logging.basicConfig(level=logging.{{level}}, stream=sys.{{stream}})
        sys.stderr = sys.stdout
        root = logging.getLogger()
        before = root.level, list(root.handlers), [list(handler.filters) for handler in root.handlers]
        os.chdir({str(tmp_path)!r})
        from recbole_sigma import run_recbole_sigma
        run_recbole_sigma("BPR", "d", config_dict={{{{"data_path": ".", "epochs": 1, "show_progress": False}}}})
        logging.warning("after the run")
        print(before == (root.level, root.handlers, [list(handler.filters) for handler in root.handlers]))
        """
    for level, stream in (("INFO", "stdout"), ("WARNING", "__stdout__")):
        *lines, same = fresh(program.format(level=level, stream=stream)).splitlines()
        assert same == "True"
        assert sum("test result" in line for line in lines) == 1
        assert sum("BPR: " in line and "parameters" in line for line in lines) == 1
        assert lines[-1] == "WARNING:root:after the run"
        assert not any("learning_rate" in line or "INFO:root" in line for line in lines)  # the file has the settings
    logs = list((tmp_path / "log" / "BPR").iterdir())
    assert len(logs) == 2 and all("learning_rate" in path.read_text() for path in logs)


def test_case_25_a_handler_of_a_file_of_ones_own_gets_the_lines(tmp_path, monkeypatch):
    write_atomic(tmp_path, base())
    own = logging.FileHandler(tmp_path / "own.log")
    logging.getLogger().addHandler(own)
    try:
        run_in(tmp_path, monkeypatch)
    finally:
        logging.getLogger().removeHandler(own)
        own.close()
    assert "test result" in (tmp_path / "own.log").read_text()


@pytest.mark.parametrize("name", ["log", "saved", "log_tensorboard", "log/BPR", "places/of"])
def test_case_31_a_file_in_the_way_of_a_folder_is_named_before_the_data_are_read(name, tmp_path, monkeypatch):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    settings = {"checkpoint_dir": f"{name}/saved"} if "places" in name else {}
    with pytest.raises(ConfigError, match=f"^{name} is a file; expected a folder.*move or rename"):
        run_in(tmp_path, monkeypatch, **settings)  # there are no data
    with pytest.raises(ConfigError, match=f"^{name} is a file; expected a folder.*move or rename"):
        compare_models(["BPR", "Pop"], "d", config_dict={"data_path": ".", **ONE_EPOCH, **settings})
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["log", "saved", "log_tensorboard"])
def test_case_31_a_folder_without_permission_is_named(name, tmp_path, monkeypatch):
    (tmp_path / name).mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: name not in str(path) and access(path, mode))
    with pytest.raises(ConfigError, match=f"{name}.* cannot be written to; give the permission"):
        run_in(tmp_path, monkeypatch)


def test_case_31_the_command_line_exits_with_2(tmp_path):
    write_atomic(tmp_path, base())
    (tmp_path / "saved").write_text("mine")
    done = recbole_sigma(tmp_path, "--model=BPR", "--dataset=d", "--data_path=.", "--epochs=1")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: saved is a file; expected a folder")


def test_case_31_prepare_names_what_is_in_the_way(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = ["user,item,time", "a,x,1", "a,y,2", "b,x,1"]
    Path("t.csv").write_text("\n".join(table) + "\n")
    command = ["prepare", "t.csv", "--user", "user", "--item", "item", "--time", "time", "--name", "shop"]
    for in_the_way, is_file in (("dataset", True), ("dataset/shop", True), ("dataset/shop/shop.inter", False)):
        Path(in_the_way).parent.mkdir(exist_ok=True)
        Path(in_the_way).write_text("mine") if is_file else Path(in_the_way).mkdir()
        assert main([*command, "--overwrite"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and in_the_way in error and "expected" in error and "Errno" not in error
        assert Path(in_the_way).exists()
        Path(in_the_way).unlink() if is_file else Path(in_the_way).rmdir()


@pytest.mark.parametrize("words", [["report"], ["recommend", "--input", "d/d.inter"], ["export", "--format", "torch"]])
def test_case_31_outputs_name_what_is_in_the_way(words, tmp_path, monkeypatch, capsys):
    write_atomic(tmp_path, base())
    monkeypatch.chdir(tmp_path)
    settings = {"data_path": ".", **ONE_EPOCH, "state": "ERROR"}
    checkpoint = run_recbole_sigma("SASRecAP", "d", config_dict=settings)["checkpoint"]
    Path("taken").write_text("mine")
    Path("folder.csv").mkdir()
    for output in ("taken/out.csv", "folder.csv")[: 1 + (words[0] != "export")]:
        capsys.readouterr()
        assert main([*words, "--checkpoint", str(checkpoint), "--output", output]) == 2
        error = capsys.readouterr().err
        assert error.split("error: ")[-1].split(" ")[0].endswith(output.split("/")[0])
        assert "expected" in error and "Errno" not in error
    assert Path("taken").read_text() == "mine" and not list(Path("folder.csv").iterdir())


@pytest.mark.parametrize("path, kind", [("dataset", "file"), ("dataset/d", "file"), ("dataset/d/d.inter", "folder")])
def test_case_31_data_that_are_no_folder_or_no_file_are_named(path, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("mine") if kind == "file" else Path(path).mkdir()
    with pytest.raises(RecBoleSigmaError, match="dataset/d"):
        run_recbole_sigma("BPR", "d", config_dict=ONE_EPOCH)


def test_every_file_is_in_the_syntax_of_python_3_9():
    files = [path for folder in ("recbole_sigma", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    for path in files:
        ast.parse(path.read_text(encoding="utf-8"), filename=str(path), feature_version=(3, 9))
