"""The name of a run, which its files have, and its log."""

from __future__ import annotations

import logging
import os
import re
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import colorlog
from recbole.utils.logger import RemoveColorFilter, log_colors_config

from recbole_sigma.safe_write import check_folder, writable_folder

LOG_ROOT = Path("log")
TENSORBOARD = Path("log_tensorboard")
"""RecBole's trainers write there."""


def new_run_id(*parts: str) -> str:
    """A unique name: the parts, the time, and eight random digits."""
    return "-".join([*parts, datetime.now().strftime("%Y%m%d-%H%M%S"), uuid.uuid4().hex[:8]])


def is_run_id(name: str, *parts: str) -> bool:
    """Whether ``new_run_id`` could have made this name from these parts."""
    return re.fullmatch(rf"{re.escape('-'.join(parts))}-\d{{8}}-\d{{6}}-[0-9a-f]{{8}}", name) is not None


def check_folders(model: str, checkpoint_dir: str | os.PathLike) -> None:
    """Check the folders that a run writes to.

    Raises:
        ConfigError: one of them cannot be made or written to.
    """
    for folder in (LOG_ROOT / model, TENSORBOARD, checkpoint_dir):
        check_folder(folder)


@contextmanager
def run_log(model: str, run_id: str, level: str) -> Iterator[Path]:
    """Log a run to ``log/<model>/<run_id>.log`` and to the standard error; afterwards logging is as it was before.

    Records with the extra ``file_only`` are not shown on the standard error. Other handlers of the root logger that
    write to the standard error or output, as ``logging.basicConfig`` makes one, show nothing during the run. Yields the
    path of the file.

    Raises:
        ConfigError: the log cannot be written there.
    """
    path = LOG_ROOT / model / f"{run_id}.log"
    writable_folder(path.parent)
    logger = logging.getLogger()
    former_level = logger.level
    others = [handler for handler in logger.handlers if _shows(handler)]
    file = logging.FileHandler(path, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    file.addFilter(RemoveColorFilter())
    screen = colorlog.StreamHandler()
    screen.setFormatter(
        colorlog.TTYColoredFormatter(
            "%(log_color)s%(asctime)s %(message)s", "%H:%M:%S", log_colors=log_colors_config, stream=screen.stream
        )
    )
    screen.addFilter(lambda record: not getattr(record, "file_only", False))
    if not screen.stream.isatty():
        screen.addFilter(RemoveColorFilter())
    for handler in (screen, file):  # the file last: its filter removes colors from the record itself
        logger.addHandler(handler)
    for handler in others:
        handler.addFilter(_nothing)
    logger.setLevel(level.upper())
    try:
        yield path
    except Exception:
        logger.exception("the run failed", extra={"file_only": True})
        raise
    finally:
        logger.setLevel(former_level)
        for handler in (screen, file):
            logger.removeHandler(handler)
        for handler in others:
            handler.removeFilter(_nothing)
        file.close()


def _shows(handler: logging.Handler) -> bool:
    streams = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return any(getattr(handler, "stream", None) is stream for stream in streams if stream is not None)


def _nothing(record: logging.LogRecord) -> bool:
    return False
