"""Real data sets, where they are at hand: in a folder named by RECBOLE_SIGMA_DATASETS."""

import os
from pathlib import Path

import pytest

FOLDER = os.environ.get("RECBOLE_SIGMA_DATASETS")


def require(name):
    """Skip a test for which the files are absent."""
    if not (FOLDER and Path(FOLDER, name).is_dir()):
        pytest.skip(f"RECBOLE_SIGMA_DATASETS names no folder with {name}")
