"""State of every interest after every prefix of a batch of sequences (SIGMA, section 3.2)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from recbole_sigma.ops.interest_scan import naive, packed

IMPLEMENTATIONS = {"auto": packed.scan, "naive": naive.scan, "packed": packed.scan}


class InterestScan(NamedTuple):
    """State after each of ``M`` items, for ``K`` categories."""

    soft: Tensor  # [M, K, D], h: sum of the items so far, weighted by probability
    intensity: Tensor  # [M, K], alpha: mean probability of the items so far
    hard: Tensor  # [M, K, D], r: state of the GRU after the last item of the category, zero before the first
    present: Tensor  # [M, K], True where the category has an item so far


def interest_scan(
    items: Tensor,
    probability: Tensor,
    assigned: Tensor,
    category: Tensor,
    lengths: Tensor,
    gru: nn.GRU,
    *,
    impl: str = "auto",
) -> InterestScan:
    """Soft sums, intensities and hard states of all prefixes of packed sequences.

    The result of a sequence does not depend on the other sequences. Sums are in float32 or wider.

    Args:
        items: v, ``[M, D]``, sequence by sequence in time order.
        probability: a, ``[M, K]``, of the categories of each item.
        assigned: ``[M, D]``, what the GRU reads: the items, possibly times a straight-through factor of 1.
        category: ``[M]``, the category that each item is assigned to, in ``range(K)``.
        lengths: ``[B]``, number of items of each sequence, with sum M; 0 is allowed. If it is on the CPU, the scan
            does not synchronise with a GPU.
        gru: one layer, one direction, input and hidden size D. It starts from zeros for every sequence and category.
        impl: "naive" loops over prefixes and categories; "packed" uses index arithmetic and one call of the GRU;
            "auto" is "packed".

    Returns:
        The state after each item, ``[M, ...]``.

    Raises:
        ValueError: arguments do not fit together, or ``impl`` is unknown.
    """
    if impl not in IMPLEMENTATIONS:
        raise ValueError(f"impl is {impl!r}; expected one of {', '.join(IMPLEMENTATIONS)}")
    num_items = len(items)
    if items.dim() != 2 or probability.dim() != 2 or assigned.shape != items.shape or category.shape != (num_items,):
        raise ValueError(
            f"items {list(items.shape)}, probability {list(probability.shape)}, assigned {list(assigned.shape)}, "
            f"category {list(category.shape)}; expected [M, D], [M, K], [M, D], [M]"
        )
    if len(probability) != num_items:
        raise ValueError(f"there are {num_items} items and {len(probability)} rows of probability; expected as many")
    if gru.num_layers != 1 or gru.bidirectional or (gru.input_size, gru.hidden_size) != (items.shape[1],) * 2:
        raise ValueError(f"gru is {gru}; expected one layer, one direction and both sizes {items.shape[1]}")
    # The checks of values would synchronise with a GPU.
    if lengths.device.type == "cpu" and int(lengths.sum()) != num_items:
        raise ValueError(f"lengths sum to {int(lengths.sum())}; expected {num_items}, the number of items")
    if category.device.type == "cpu" and num_items:
        low, high = int(category.min()), int(category.max())
        if low < 0 or high >= probability.shape[1]:
            raise ValueError(
                f"category is from {low} to {high}; expected 0 to {probability.shape[1] - 1}, columns of probability"
            )
    if num_items == 0:
        nothing = probability.unsqueeze(2) * items.unsqueeze(1)  # [0, K, D]
        return InterestScan(nothing, probability, nothing, probability > 0)
    return InterestScan(*IMPLEMENTATIONS[impl](items, probability, assigned, category, lengths, gru))
