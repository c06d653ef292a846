"""Runs in processes of their own that end too early, and what must be the same when they are resumed.

The processes are forked from a server that has imported everything, so that a run on the toy data takes a second.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import sys
import time
from pathlib import Path

import torch
import torch._dynamo  # by every optimizer, which takes longer than a run of the toy data

from recbole_sigma import run_recbole_sigma, safe_write
from recbole_sigma.cli import main
from recbole_sigma.errors import ConfigError
from recbole_sigma.training import checkpoint, saving
from recbole_sigma.training.finite import FiniteCheck
from recbole_sigma.training.plain_data import to_plain
from recbole_sigma.training.resume import ResumableRun
from recbole_sigma.training.trainer import ResumableTrainer

TIMEOUT = 120
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.training.interrupted"])

MOMENTS = {
    "in the first epoch": (FiniteCheck, "check_loss", 2),
    "in a later epoch": (FiniteCheck, "check_loss", 13),
    "before validation": (ResumableTrainer, "_valid_epoch", 2),
    "during validation": (ResumableTrainer, "_full_sort_batch_eval", 3),
    "before a file replaces another": (safe_write.os, "replace", 3),
    "before the test": (ResumableTrainer, "load_model", 1),
    "before the results are added to the checkpoint": (checkpoint, "add", 1),
    "before the state is deleted": (ResumableRun, "remove", 1),
}
"""What a process is about to do when it kills itself: a function, and which call of it."""


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(owner, name, call):
    """Kill this process when it is about to call a function for the ``call``-th time."""
    original, calls = getattr(owner, name), []

    def dying(*args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            _die()
        return original(*args, **kwargs)

    setattr(owner, name, dying)


def _die_writing(number):
    """In the save of this number, with half of the bytes on the disk."""
    original, calls = torch.save, []

    def dying(obj, file):
        calls.append(1)
        original(obj, file)
        if len(calls) == number:
            file.flush()
            os.ftruncate(file.fileno(), file.tell() // 2)
            _die()

    torch.save = dying


def _keep_final_state():
    """Write the whole state after the training to ``final.pt``."""

    def keeping(self, *args, **kwargs):
        result = super(ResumableTrainer, self).fit(*args, **kwargs)
        state = {"order": self.saver.state.order(), **self.saver.state.take()}
        torch.save(state, "final.pt")
        return result

    ResumableTrainer.fit = keeping


def _run(folder, model, settings, moment, save_seconds):
    os.chdir(folder)
    sys.stdout = sys.stderr = open("output", "a")
    _keep_final_state()
    if isinstance(moment, int):
        _die_writing(moment)
    elif moment is not None:
        die_at(*MOMENTS[moment])
    if save_seconds is not None:
        saving.SAVE_SECONDS = save_seconds
    result = run_recbole_sigma(model, "toy", config_dict=settings)
    Path("result.json").write_text(json.dumps(result))


def start(folder, model, settings, moment=None, save_seconds=None):
    """A process that trains in ``folder``.

    Args:
        moment: when it kills itself: one of ``MOMENTS``, or the number of a save, in the middle of it.
    """
    Path(folder).mkdir(exist_ok=True)
    process = PROCESSES.Process(target=_run, args=(str(folder), model, settings, moment, save_seconds))
    process.start()
    return process


def _command_line(folder, words, full_after=None):
    os.chdir(folder)
    sys.stdout = sys.stderr = open("output", "a", buffering=1)
    if full_after is not None:
        _fill_disk(full_after)
    sys.exit(main(words))


def _fill_disk(full_after):
    """Let saves fail after this number of them."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writes past the limit fail, as on a full disk
    saves, save = [], checkpoint.save

    def save_until_full(*args):
        saves.append(1)
        if len(saves) > full_after:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
        save(*args)

    checkpoint.save = save_until_full


def start_command_line(folder, words, full_after=None):
    """A process that runs the command line in ``folder``.

    Args:
        full_after: number of saves after which the disk is full.
    """
    Path(folder).mkdir(exist_ok=True)
    process = PROCESSES.Process(target=_command_line, args=(str(folder), words, full_after))
    process.start()
    return process


def _hold(folder, run_id, ready):
    os.setpgid(0, 0)
    with ResumableRun(folder, run_id, {}):
        if os.fork() == 0:
            time.sleep(TIMEOUT)
            os._exit(0)
        ready.set()
        time.sleep(TIMEOUT)


def hold_with_child(folder, run_id):
    """A process that works on a run and has a child, such as a worker that loads data; both in a group of their own."""
    ready = PROCESSES.Event()
    process = PROCESSES.Process(target=_hold, args=(folder, run_id, ready))
    process.start()
    assert ready.wait(TIMEOUT)
    return process


def _try_run(folder, run_id):
    try:
        ResumableRun(folder, run_id, {}).__exit__()
    except ConfigError:
        sys.exit(3)


def is_in_progress(folder, run_id):
    """Whether another process sees that the run is in progress."""
    process = PROCESSES.Process(target=_try_run, args=(folder, run_id))
    process.start()
    process.join(TIMEOUT)
    assert process.exitcode in (0, 3)
    return process.exitcode == 3


def finish(process, folder):
    """Wait for a process that must end without an error."""
    process.join(TIMEOUT)
    if process.exitcode != 0:
        process.kill()
        raise AssertionError(f"exit code {process.exitcode}: {(Path(folder) / 'output').read_text()[-3000:]}")


def outcome(folder):
    """Everything that a run left behind, by the path of the value, without its name, its times and paths."""
    folder = Path(folder)
    path = max((folder / "saved").glob("*.pth"), key=os.path.getmtime)  # a run killed after its end begins another
    everything = {
        "result": json.loads((folder / "result.json").read_text()),
        "checkpoint": checkpoint.load(path),
        "final": torch.load(folder / "final.pt", weights_only=True),
    }
    for name in ("checkpoint", "log", "seconds_per_epoch"):
        del everything["result"][name]
    for name in ("run_id", "resume"):
        del everything["checkpoint"]["config"][name]
    return {key: value for key, value in leaves(everything) if not key.endswith("/seconds")}


def leaves(value, path=""):
    """Paths and values of nested data; arrays and sparse matrices become tensors."""
    value = to_plain(value)
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}/{key}")
    elif isinstance(value, (list, tuple)):
        for key, item in enumerate(value):
            yield from leaves(item, f"{path}/{key}")
    else:
        yield path, value


def differences(first, second):
    """Paths of values that are not the same to the bit, or are in one of them only."""
    return sorted(
        key
        for key in first.keys() | second.keys()
        if key not in first or key not in second or _bits(first[key]) != _bits(second[key])
    )


def _bits(value):
    if not isinstance(value, torch.Tensor):
        return type(value), value
    if value.is_sparse:
        value = value.coalesce()
        return [_bits(part) for part in (value.indices(), value.values())]
    return value.dtype, value.shape, value.detach().contiguous().numpy().tobytes()
