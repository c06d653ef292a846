"""The name of a run, which its files have, and its log."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import colorlog
from recbole.utils.logger import RemoveColorFilter, log_colors_config

LOG_ROOT = Path("log")


def new_run_id(*parts: str) -> str:
    """A unique name: the parts, the time, and eight random digits."""
    return "-".join([*parts, datetime.now().strftime("%Y%m%d-%H%M%S"), uuid.uuid4().hex[:8]])


def is_run_id(name: str, *parts: str) -> bool:
    """Whether ``new_run_id`` could have made this name from these parts."""
    return re.fullmatch(rf"{re.escape('-'.join(parts))}-\d{{8}}-\d{{6}}-[0-9a-f]{{8}}", name) is not None


@contextmanager
def run_log(model: str, run_id: str, level: str) -> Iterator[Path]:
    """Log a run to ``log/<model>/<run_id>.log`` and to the standard error; afterwards logging is as it was before.

    Records with the extra ``file_only`` are not shown on the standard error. Yields the path of the file.
    """
    path = LOG_ROOT / model / f"{run_id}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    logger = logging.getLogger()
    former_level = logger.level
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
        file.close()
