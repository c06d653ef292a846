"""Triton kernels for the sum over items of the exponential of the best interest's score, and its gradients.

A program holds some rows with all their interests as one matrix ``[R, D]``, ``R = BLOCK_N BLOCK_K``, so a tile of items
``[BLOCK_V, D]`` takes one matrix product. Nothing is larger than a tile of scores ``[R, BLOCK_V]``.
"""

import triton
import triton.language as tl


@triton.jit
def _load_interests(pointer, block, N, K, D, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr):
    """Interests ``[R, BLOCK_D]`` of a block of rows, their offsets in memory, and a mask of those that exist."""
    r = tl.arange(0, BLOCK_N * BLOCK_K)
    n = block * BLOCK_N + r // BLOCK_K
    k = r % BLOCK_K
    d = tl.arange(0, BLOCK_D)
    offsets = (n.to(tl.int64) * K + k)[:, None] * D + d[None, :]
    exists = ((n < N) & (k < K))[:, None] & (d < D)[None, :]
    return tl.load(pointer + offsets, mask=exists, other=0.0), offsets, exists


@triton.jit
def _load_items(pointer, v, V, D, BLOCK_D: tl.constexpr):
    """Items ``[BLOCK_V, BLOCK_D]`` of the rows v, their offsets in memory, and a mask of those that exist."""
    d = tl.arange(0, BLOCK_D)
    offsets = v.to(tl.int64)[:, None] * D + d[None, :]
    exists = (v < V)[:, None] & (d < D)[None, :]
    return tl.load(pointer + offsets, mask=exists, other=0.0), offsets, exists


@triton.jit
def _scores(
    interests, items, K, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, PRECISION: tl.constexpr
):
    """Scores ``[BLOCK_N, BLOCK_K, BLOCK_V]`` and their maximum over the interests ``[BLOCK_N, BLOCK_V]``."""
    scores = tl.dot(interests, tl.trans(items), input_precision=PRECISION)
    scores = tl.reshape(scores, (BLOCK_N, BLOCK_K, BLOCK_V))
    k = tl.arange(0, BLOCK_K)
    scores = tl.where((k < K)[None, :, None], scores, float("-inf"))
    return scores, tl.max(scores, axis=1)


@triton.jit
def _logits(best, v, V, excluded, log_weight, scale, WEIGHTED: tl.constexpr):
    """Logits ``[BLOCK_N, BLOCK_V]`` of the terms of the sum; minus infinity for the excluded items."""
    logits = best * scale
    if WEIGHTED:
        logits += tl.load(log_weight + v, mask=v < V, other=0.0)[None, :]
    counts = (v < V)[None, :] & (v[None, :] != excluded[:, None])
    return tl.where(counts, logits, float("-inf"))


@triton.jit
def _slope(
    scores, best, logits, highest, weight, scale, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr
):
    """Gradient ``[R, BLOCK_V]`` of the scores; best scores that come out equal share it equally."""
    is_best = (scores == best[:, None, :]).to(tl.float32)
    slope = tl.exp(logits - highest[:, None]) * weight[:, None] * scale / tl.sum(is_best, axis=1)
    return tl.reshape(is_best * slope[:, None, :], (BLOCK_N * BLOCK_K, BLOCK_V))


@triton.jit
def sum_kernel(
    interests, items, excluded, log_weight, highest_parts, mass_parts,  # the last two: [splits, N]
    N, V, K, D, scale, items_per_split,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
    WEIGHTED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Program (i, j) computes the highest logit and the sum of ``exp(logit - highest)``, for the i-th block of rows and
    the j-th part of the catalog."""
    block, split = tl.program_id(0), tl.program_id(1)
    n = block * BLOCK_N + tl.arange(0, BLOCK_N)
    u = _load_interests(interests, block, N, K, D, BLOCK_N, BLOCK_K, BLOCK_D)[0]
    without = tl.load(excluded + n, mask=n < N, other=-1)
    highest = tl.full((BLOCK_N,), -3.0e38, tl.float32)  # finite: an empty sum is 0, not NaN
    mass = tl.zeros((BLOCK_N,), tl.float32)
    start = split * items_per_split
    for first in range(start, tl.minimum(start + items_per_split, V), BLOCK_V):
        v = first + tl.arange(0, BLOCK_V)
        e = _load_items(items, v, V, D, BLOCK_D)[0]
        best = _scores(u, e, K, BLOCK_N, BLOCK_K, BLOCK_V, PRECISION)[1]
        logits = _logits(best, v, V, without, log_weight, scale, WEIGHTED)
        higher = tl.maximum(highest, tl.max(logits, axis=1))
        mass = mass * tl.exp(highest - higher) + tl.sum(tl.exp(logits - higher[:, None]), axis=1)
        highest = higher
    tl.store(highest_parts + split * N + n, highest, mask=n < N)
    tl.store(mass_parts + split * N + n, mass, mask=n < N)


@triton.jit
def interests_gradient_kernel(
    interests, items, excluded, log_weight, highest, weight, gradient,  # gradient: [splits, N, K, D]
    N, V, K, D, scale, items_per_split,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
    WEIGHTED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Program (i, j) computes the gradient of the i-th block of rows from the j-th part of the catalog."""
    block, split = tl.program_id(0), tl.program_id(1)
    n = block * BLOCK_N + tl.arange(0, BLOCK_N)
    u, offsets, exists = _load_interests(interests, block, N, K, D, BLOCK_N, BLOCK_K, BLOCK_D)
    without = tl.load(excluded + n, mask=n < N, other=-1)
    top = tl.load(highest + n, mask=n < N, other=float("inf"))
    w = tl.load(weight + n, mask=n < N, other=0.0)
    sums = tl.zeros((BLOCK_N * BLOCK_K, BLOCK_D), tl.float32)
    start = split * items_per_split
    for first in range(start, tl.minimum(start + items_per_split, V), BLOCK_V):
        v = first + tl.arange(0, BLOCK_V)
        e = _load_items(items, v, V, D, BLOCK_D)[0]
        scores, best = _scores(u, e, K, BLOCK_N, BLOCK_K, BLOCK_V, PRECISION)
        logits = _logits(best, v, V, without, log_weight, scale, WEIGHTED)
        slope = _slope(scores, best, logits, top, w, scale, BLOCK_N, BLOCK_K, BLOCK_V)
        sums += tl.dot(slope.to(e.dtype), e, input_precision=PRECISION)
    of_split = split.to(tl.int64) * N * K * D
    tl.store(gradient + of_split + offsets, sums, mask=exists)


@triton.jit
def items_gradient_kernel(
    interests, items, excluded, log_weight, highest, weight, gradient,  # gradient: [V, D]
    N, V, K, D, scale,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
    WEIGHTED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Program i computes the gradient of the i-th block of items from all rows."""
    v = tl.program_id(0) * BLOCK_V + tl.arange(0, BLOCK_V)
    e, offsets, exists = _load_items(items, v, V, D, BLOCK_D)
    sums = tl.zeros((BLOCK_V, BLOCK_D), tl.float32)
    for block in range(0, tl.cdiv(N, BLOCK_N)):
        n = block * BLOCK_N + tl.arange(0, BLOCK_N)
        u = _load_interests(interests, block, N, K, D, BLOCK_N, BLOCK_K, BLOCK_D)[0]
        without = tl.load(excluded + n, mask=n < N, other=-1)
        top = tl.load(highest + n, mask=n < N, other=float("inf"))
        w = tl.load(weight + n, mask=n < N, other=0.0)
        scores, best = _scores(u, e, K, BLOCK_N, BLOCK_K, BLOCK_V, PRECISION)
        logits = _logits(best, v, V, without, log_weight, scale, WEIGHTED)
        slope = _slope(scores, best, logits, top, w, scale, BLOCK_N, BLOCK_K, BLOCK_V)
        sums += tl.dot(tl.trans(slope.to(u.dtype)), u, input_precision=PRECISION)
    tl.store(gradient + offsets, sums, mask=exists)
