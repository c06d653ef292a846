"""Recurrent networks over padded sequences."""

from __future__ import annotations

from torch import Tensor, nn


def run_padded(network: nn.RNNBase, rows: Tensor) -> Tensor:
    """States of a recurrent network after each place: ``[b, t, D]`` to ``[b, t, E]``."""
    return network(rows)[0] if network.batch_first else network(rows.transpose(0, 1))[0].transpose(0, 1)
