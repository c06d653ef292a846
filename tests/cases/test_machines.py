"""The same on every library, whatever the program around the run has set up, and whatever lies in its folder."""

import logging
import os
from pathlib import Path

import pytest

from recbole_sigma import run_recbole_sigma
from tests.cases.made_up import base, write_atomic
from tests.cases.running import recbole_sigma
from tests.fresh import fresh

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
