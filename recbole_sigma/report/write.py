"""Write the report of a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from recbole_sigma.errors import RecBoleSigmaError
from recbole_sigma.extras import require
from recbole_sigma.recommend import load
from recbole_sigma.report.held_out import open_test_rows, rank_test_rows
from recbole_sigma.report.page import page
from recbole_sigma.report.sections.accuracy import accuracy
from recbole_sigma.report.sections.examples import examples
from recbole_sigma.report.sections.explanations import explanations
from recbole_sigma.report.sections.intensities import intensities
from recbole_sigma.report.sections.item_map import item_map
from recbole_sigma.report.sections.overview import overview
from recbole_sigma.report.sections.results import results
from recbole_sigma.report.sections.settings import settings
from recbole_sigma.report.sections.training import training
from recbole_sigma.safe_write import replace_file

PACKAGES = ("jinja2", "plotly.offline", "sklearn.manifold")
"""Modules of the extra ``report``; RecBole and PyTorch install them too."""


class Written(NamedTuple):
    """A report that was written.

    Attributes:
        path: of the file.
        missing: why the parts about users are left out, or None if nothing is.
    """

    path: Path
    missing: str | None


def write_report(
    checkpoint: str | os.PathLike | Sequence[str | os.PathLike],
    output: str | os.PathLike = "report.html",
    data_path: str | os.PathLike | None = None,
    device: str = "auto",
    model_class: type | None = None,
    average: str | None = None,
) -> Written:
    """Write one HTML file that needs no network: training, results, items, interests, accuracy,
    explanations and some users.

    Args:
        checkpoint: as for ``recbole_sigma.load``. The report of an average leaves out what a single training has.
        output: the file; an existing file is replaced when the new one is complete.
        data_path: folder that contains the folder of the data set, by default the one of the training. Without the
            data the report leaves out the parts about users.
        device, model_class, average: as for ``recbole_sigma.load``.

    Returns:
        The path of the file, and why the parts about users are left out, if they are.

    Raises:
        CheckpointError: the file is missing, damaged, or of a model that is not sequential.
        MissingExtraError: a package that only the report needs is not installed.
    """
    for module in PACKAGES:
        require(module, "report")
    recommender = load(checkpoint, device, model_class, average)
    held_out, problem = None, None
    try:
        held_out = rank_test_rows(recommender, open_test_rows(recommender, data_path))
    except RecBoleSigmaError as error:
        problem = str(error)
    why_not = f"This needs the test rows: {problem}."
    sections = [
        overview(recommender),
        training(recommender),
        results(recommender, held_out),
        item_map(recommender),
        intensities(recommender, held_out, why_not),
        accuracy(recommender, held_out, why_not),
        explanations(recommender, held_out, why_not),
        examples(recommender, held_out, why_not),
        settings(recommender),
    ]
    heading = f"{recommender.state['model']} on {recommender.state['config']['dataset']}"
    with replace_file(output) as temporary:
        temporary.write_text(page(heading, Path(recommender.path).name, sections), encoding="utf-8")
    return Written(Path(output), problem)
