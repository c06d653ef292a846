"""Runs in processes of their own that end too early, and what has to be the same when they are resumed.

The processes are forked from a server that has imported everything, so that a run of the toy data takes a second.
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
from recbole_sigma.training import checkpoint
from recbole_sigma.cli import main
from recbole_sigma.errors import ConfigError
from recbole_sigma.training.resume import UnfinishedRun
from recbole_sigma.training.trainer import ResumableTrainer

TIMEOUT = 120
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.training.interrupted"])

MOMENTS = {
    "in the first epoch": (ResumableTrainer, "_check_nan", 2),
    "in a later epoch": (ResumableTrainer, "_check_nan", 13),
    "before validation": (ResumableTrainer, "_valid_epoch", 2),
    "during validation": (ResumableTrainer, "_full_sort_batch_eval", 3),
    "before a file takes the other's place": (safe_write.os, "replace", 3),
    "before the test": (ResumableTrainer, "load_model", 1),
    "before the results are put into the checkpoint": (checkpoint, "add", 1),
    "before the state is removed": (UnfinishedRun, "remove", 1),
}
"""What a process was about to do when it was killed: a function, and which call of it."""


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def _die_at(owner, name, call):
    original, calls = getattr(owner, name), []

    def dying(*args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            _die()
        return original(*args, **kwargs)

    setattr(owner, name, dying)


def _die_writing(number):
    """With half of the bytes on the disk, in the save of this number."""
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
    """All of the state after the training, in ``final.pt``."""
    fit = ResumableTrainer.fit

    def keeping(self, *args, **kwargs):
        result = fit(self, *args, **kwargs)
        state = {"order": self.training_state.order(), **self.training_state.take()}
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
        _die_at(*MOMENTS[moment])
    if save_seconds is not None:
        sys.modules["recbole_sigma.training.trainer"].SAVE_SECONDS = save_seconds
    result = run_recbole_sigma(model, "toy", config_dict=settings)
    Path("result.json").write_text(json.dumps(result))


def start(folder, model, settings, moment=None, save_seconds=None):
    """A process that trains in ``folder``.

    Args:
        moment: when it is to kill itself: one of ``MOMENTS``, or in the middle of which of its saves.
    """
    Path(folder).mkdir(exist_ok=True)
    process = PROCESSES.Process(target=_run, args=(str(folder), model, settings, moment, save_seconds))
    process.start()
    return process


def _run_on_full_disk(folder, words):
    os.chdir(folder)
    sys.stdout = sys.stderr = open("output", "a")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writes past the limit fail, as on a full disk
    saves, save = [], checkpoint.save

    def save_until_full(*args):
        saves.append(1)
        if len(saves) == 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
        save(*args)

    checkpoint.save = save_until_full
    sys.exit(main(words))


def start_on_full_disk(folder, words):
    """A process that runs the command line in ``folder``, where the fourth save finds no room."""
    Path(folder).mkdir(exist_ok=True)
    process = PROCESSES.Process(target=_run_on_full_disk, args=(str(folder), words))
    process.start()
    return process


def _hold(folder, run_id, ready):
    with UnfinishedRun(folder, run_id, {}):
        if os.fork() == 0:
            time.sleep(TIMEOUT)
            os._exit(0)
        ready.set()
        time.sleep(TIMEOUT)


def hold_with_child(folder, run_id):
    """A process that is at a run and has a child, as one whose data come from workers; both in a group of their own."""
    ready = PROCESSES.Event()
    process = PROCESSES.Process(target=_in_group, args=(_hold, folder, run_id, ready))
    process.start()
    assert ready.wait(TIMEOUT)
    return process


def _in_group(function, *args):
    os.setpgid(0, 0)
    function(*args)


def _look(folder, run_id):
    try:
        UnfinishedRun(folder, run_id, {}).__exit__()
    except ConfigError:
        sys.exit(3)


def is_going(folder, run_id):
    """Whether a run is, in the eyes of another process."""
    process = PROCESSES.Process(target=_look, args=(folder, run_id))
    process.start()
    process.join(TIMEOUT)
    assert process.exitcode in (0, 3)
    return process.exitcode == 3


def finish(process, folder):
    """Wait for a process that is to come to its end."""
    process.join(TIMEOUT)
    if process.exitcode != 0:
        process.kill()
        raise AssertionError(f"exit code {process.exitcode}: {(Path(folder) / 'output').read_text()[-3000:]}")


def outcome(folder):
    """All that a run left behind, by path of the value, without its name, its times and places."""
    folder = Path(folder)
    path = max((folder / "saved").glob("*.pth"), key=os.path.getmtime)  # one killed after its end begins another
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
    """Paths and values of nested data; arrays and sparse matrices as the tensors that they consist of."""
    value = checkpoint.to_plain(value)
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}/{key}")
    elif isinstance(value, (list, tuple)):
        for key, item in enumerate(value):
            yield from leaves(item, f"{path}/{key}")
    else:
        yield path, value


def differences(first, second):
    """Paths of values that are not the same to the bit."""
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
