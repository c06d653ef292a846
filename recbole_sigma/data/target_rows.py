"""Rows of a sequential data set that store only the index of their target."""

from __future__ import annotations

from typing import Iterator, Mapping, MutableMapping

from recbole.data.interaction import Interaction
from torch import Tensor

TARGET_INDEX = "target:index"  # no column of a file can have this name
"""Field of a row of a sequential data set: the index of its target in ``dataset.interactions``."""


class TargetRows(Interaction):
    """An ``Interaction`` of targets. Its columns are gathered from those of all interactions when they are read.

    Indexing gives ``TargetRows`` again. Columns that are set are stored as in any ``Interaction``.
    """

    def __init__(self, source: Mapping, index: Tensor):
        """
        Args:
            source: columns of all interactions: tensors ``[M, ...]``, or objects that a tensor of indices can index.
            index: ``[R]``, indices of the targets.
        """
        self.interaction = GatheredColumns(source, index, {})
        self.length = len(index)

    def __getitem__(self, index):
        if isinstance(index, str):
            return self.interaction[index]
        part = object.__new__(TargetRows)
        part.interaction = self.interaction.at(index)
        part.length = part.interaction.index.numel()
        return part

    def _reindex(self, index):
        self.interaction = self.interaction.at(index)

    def gathered(self) -> Interaction:
        """The rows as an ``Interaction`` that stores all of its columns."""
        return Interaction(dict(self.interaction))


class GatheredColumns(MutableMapping):
    """Columns of ``source`` at an index, gathered when they are read, and columns that were set, in ``held``."""

    def __init__(self, source: Mapping, index: Tensor, held: dict):
        self.source, self.index, self.held = dict(source), index, held

    def at(self, index) -> GatheredColumns:
        held = {name: column[index] for name, column in self.held.items()}
        return GatheredColumns(self.source, self.index[index], held)

    def __getitem__(self, name: str) -> Tensor:
        return self.held[name] if name in self.held else self.source[name][self.index]

    def __setitem__(self, name: str, column: Tensor) -> None:
        self.source.pop(name, None)
        self.held[name] = column

    def __delitem__(self, name: str) -> None:
        del (self.held if name in self.held else self.source)[name]

    def __contains__(self, name: object) -> bool:  # Mapping's own would gather the column
        return name in self.held or name in self.source

    def __iter__(self) -> Iterator[str]:
        return iter([*self.source, *self.held])

    def __len__(self) -> int:
        return len(self.source) + len(self.held)


class TargetIndex:
    """The column ``TARGET_INDEX``."""

    def __getitem__(self, index: Tensor) -> Tensor:
        return index


class HistoryLength:
    """The column of the lengths of histories, at most ``longest``."""

    def __init__(self, user: Tensor, first_of_user: Tensor, longest: int):
        """
        Args:
            user: ``[M]``, sorted.
            first_of_user: ``[U]``, index of the first interaction of each user.
        """
        self.user, self.first_of_user, self.longest = user, first_of_user, longest

    def __getitem__(self, index: Tensor) -> Tensor:
        return (index - self.first_of_user[self.user[index]]).clamp(max=self.longest)
