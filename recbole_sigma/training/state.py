"""The state of training as plain data: everything that decides how it continues."""

from __future__ import annotations

import hashlib
import pickle
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.optim import Optimizer

from recbole_sigma.training.plain_data import to_plain

_BOOKKEEPING = ("cur_step", "best_valid_score", "best_valid_result", "train_loss_dict", "history")
_MODULE_KEYS = frozenset(vars(nn.Module()))
_PLAIN = (type(None), bool, int, float, str, np.generic, np.ndarray, Tensor)


class TrainingState:
    """Takes the state of a trainer, its model and its loaders, and restores it in others that were made the same way.

    Models have counters, caches and arrays as plain attributes, which are not in their state_dict. Those that have
    changed since this object was made, before the first step, are part of the state.

    Args:
        trainer: a trainer of RecBole; its optimizers are found among its attributes.
        loaders: those of training and validation, which have random generators of their own.
    """

    def __init__(self, trainer, loaders):
        self.trainer = trainer
        self.generators = [generator for loader in loaders for generator in _generators(loader)]
        self.first = {key: _digest(value) for key, value in _attributes(trainer.model)}

    def take(self) -> dict[str, Any]:
        """The present state. Its tensors are not copies, so write it before the next step."""
        trainer = self.trainer
        return to_plain(
            {
                "bookkeeping": {name: getattr(trainer, name) for name in _BOOKKEEPING},
                "optimizers": {name: optimizer.state_dict() for name, optimizer in _optimizers(trainer).items()},
                "state_dict": trainer.model.state_dict(),
                "attributes": {
                    key: value.detach() if isinstance(value, Tensor) else value
                    for key, value in _attributes(trainer.model)
                    if self.first.get(key) != _digest(value)
                },
                "random": random_states(),
            }
        )

    def put(self, state: dict[str, Any]) -> None:
        """Restore a state that was taken."""
        trainer = self.trainer
        for name, value in state["bookkeeping"].items():
            setattr(trainer, name, value)
        trainer.model.load_state_dict(state["state_dict"])
        optimizers = _optimizers(trainer)
        for name, optimizer_state in state["optimizers"].items():
            optimizers[name].load_state_dict(optimizer_state)
        modules = dict(trainer.model.named_modules())
        for key, value in state["attributes"].items():
            path, _, name = key.rpartition(".")
            if isinstance(value, Tensor):
                present = getattr(modules[path], name, None)
                value = value.to(present.device if isinstance(present, Tensor) else trainer.device)
            setattr(modules[path], name, value)
        set_random_states(state["random"])

    def order(self) -> list[Tensor]:
        """The states of the loaders' generators, which draw the order of an epoch."""
        return [generator.get_state() for generator in self.generators]

    def set_order(self, states: list[Tensor]) -> None:
        for generator, state in zip(self.generators, states):
            generator.set_state(state)


def random_states() -> dict[str, Any]:
    """The states of all global random generators: of Python, of NumPy, and of PyTorch on the CPU and on GPUs."""
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def set_random_states(states: dict[str, Any]) -> None:
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])


def _generators(loader) -> Iterator[torch.Generator]:
    """Those of a loader, and of the two loaders in RecBole's loader for knowledge graphs."""
    parts = [loader, getattr(loader, "general_dataloader", None), getattr(loader, "kg_dataloader", None)]
    for part in parts:
        if isinstance(getattr(part, "generator", None), torch.Generator):
            yield part.generator


def _optimizers(trainer) -> dict[str, Optimizer]:
    """By name, each once: after RecVAE's first epoch, its ``optimizer`` is one of its other two."""
    found = {name: value for name, value in vars(trainer).items() if isinstance(value, Optimizer)}
    main = found.pop("optimizer")
    return found if any(main is other for other in found.values()) else {"optimizer": main, **found}


def _attributes(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Path and value of the plain attributes of all modules, and of buffers that are not in the state_dict.

    Tensors that share memory with a parameter or a buffer are left out, because they change with it.
    """
    saved = model.state_dict()
    registered = {_memory(tensor) for tensor in [*model.parameters(), *model.buffers()]} - {None}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name in _MODULE_KEYS or not (isinstance(value, _PLAIN) or sparse.issparse(value)):
                continue
            if isinstance(value, np.ndarray) and value.dtype.kind not in "biuf":
                continue
            if isinstance(value, Tensor) and _memory(value) in registered:
                continue
            yield f"{path}.{name}", value
        for name, value in module._buffers.items():
            if f"{path}.{name}".lstrip(".") not in saved:
                yield f"{path}.{name}", value


def _memory(tensor: Tensor) -> int | None:
    """The address of the data of a tensor; None for sparse and empty tensors."""
    if tensor.layout != torch.strided or not tensor.numel():
        return None
    return tensor.untyped_storage().data_ptr()


def _digest(value) -> bytes:
    """A digest of a value and its type, comparable within a process."""
    if isinstance(value, Tensor):
        value = value.detach()
    return hashlib.sha256(pickle.dumps(value, protocol=5)).digest()
