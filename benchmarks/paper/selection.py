"""Which trial of a search is the best of its model, by validation."""

from __future__ import annotations

from pathlib import Path

from recbole_sigma.config.reading import read_user_file


def read_selected(folder: Path) -> dict[str, dict[str, dict]]:
    """The settings that ``selected.yaml`` has for each data set and model; none where there is no such file."""
    path = folder / "selected.yaml"
    return read_user_file(path) if path.exists() else {}
