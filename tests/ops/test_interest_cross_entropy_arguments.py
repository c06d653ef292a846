"""Errors for arguments that do not fit together, or that an implementation cannot run on."""

import functools
import importlib.util

import pytest
import torch

from recbole_sigma.ops import interest_cross_entropy, sampled_interest_cross_entropy

N, K, D, V = 3, 2, 4, 5
FUNCTIONS = (interest_cross_entropy, functools.partial(sampled_interest_cross_entropy, num_samples=10))
VALID = {"interests": torch.ones(N, K, D), "items": torch.ones(V, D), "target": torch.zeros(N, dtype=torch.int64)}
NO_ROWS = {"interests": torch.ones(0, K, D), "target": torch.ones(0, dtype=torch.int64)}


def with_target(*rows, **others):
    return {"target": torch.tensor(rows), **others}


INVALID = {
    "interests of one dimension": (
        {"interests": torch.ones(D)},
        r"interests \[4\], items \[5, 4\], target \[3\]; expected interests \[N, K, D\] or \[N, D\] and items \[V, D\]",
    ),
    "interests of four dimensions": ({"interests": torch.ones(1, N, K, D)}, r"expected interests \[N, K, D\]"),
    "items of one dimension": ({"items": torch.ones(D)}, r"items \[4\].*and items \[V, D\]"),
    "items of three dimensions": ({"items": torch.ones(1, V, D)}, r"items \[1, 5, 4\].*and items \[V, D\]"),
    "interests longer than items": ({"interests": torch.ones(N, K, D + 1)}, r"interests \[3, 2, 5\], items \[5, 4\]"),
    "too few targets": (with_target(0, 1), r"target \[2\]; expected target \[N\]"),
    "targets of two dimensions": (with_target([0], [1], [2]), r"target \[3, 1\]; expected target \[N\]"),
    "target for all rows": ({"target": torch.tensor(0)}, r"target \[\]; expected target \[N\]"),
    "no items": ({"items": torch.ones(0, D)}, "expected at least one interest, dimension and item"),
    "no interests": ({"interests": torch.ones(N, 0, D)}, "expected at least one interest, dimension and item"),
    "no dimensions": (
        {"interests": torch.ones(N, K, 0), "items": torch.ones(V, 0)},
        "expected at least one interest, dimension and item",
    ),
    "neither rows nor interests": (
        {**NO_ROWS, "interests": torch.ones(0, 0, D)},
        "expected at least one interest, dimension and item",
    ),
    "neither rows nor items": (
        {**NO_ROWS, "items": torch.ones(0, D)},
        "expected at least one interest, dimension and item",
    ),
    "whole interests": (
        {"interests": torch.ones(N, K, D, dtype=torch.int64)},
        "interests are torch.int64, items torch.float32; expected floating-point numbers",
    ),
    "whole items": (
        {"items": torch.ones(V, D, dtype=torch.int32)},
        "interests are torch.float32, items torch.int32; expected floating-point numbers",
    ),
    "complex items": ({"items": torch.ones(V, D, dtype=torch.complex64)}, "expected floating-point numbers"),
    "items of another type": (
        {"items": torch.ones(V, D, dtype=torch.float64)},
        "interests are torch.float32, items torch.float64; expected the same type",
    ),
    "fractional targets": (with_target(0.0, 1.0, 2.0), "target is torch.float32; expected torch.int64"),
    "short targets": ({"target": torch.zeros(N, dtype=torch.int32)}, "target is torch.int32; expected torch.int64"),
    "items elsewhere": (
        {"items": torch.ones(V, D, device="meta")},
        "interests are on cpu, items on meta, target on cpu; expected one device",
    ),
    "target elsewhere": (
        {"target": torch.zeros(N, dtype=torch.int64, device="meta")},
        "interests are on cpu, items on cpu, target on meta; expected one device",
    ),
    "target below 0": (with_target(0, -1, 2), "target is from -1 to 2; expected rows of items, 0 to 4"),
    "target past the items": (with_target(0, V, 2), "target is from 0 to 5; expected rows of items, 0 to 4"),
    "temperature 0": ({"temperature": 0.0}, "temperature is 0.0; expected a number more than 0"),
    "temperature below 0": ({"temperature": -1}, "temperature is -1; expected a number more than 0"),
    "no temperature": ({"temperature": float("nan")}, "temperature is nan; expected a number more than 0"),
    "infinite temperature": ({"temperature": float("inf")}, "temperature is inf; expected a number more than 0"),
    "unknown reduction": ({"reduce": "mean"}, "reduce is 'mean'; expected one of max, sum"),
    "unknown implementation": ({"impl": "fast"}, "impl is 'fast'; expected one of auto, naive, tiled, triton"),
    "unknown implementation without rows": ({**NO_ROWS, "impl": "fast"}, "impl is 'fast'"),
    "items of another type without rows": (
        {**NO_ROWS, "items": torch.ones(V, D, dtype=torch.float64)},
        "expected the same type",
    ),
}


@pytest.mark.parametrize("arguments, message", INVALID.values(), ids=INVALID)
def test_arguments_that_do_not_fit_raise_an_error(arguments, message):
    for function in FUNCTIONS:
        with pytest.raises(ValueError, match=message):
            function(**{**VALID, **arguments})


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"proposal": "popular"}, "proposal is 'popular'; expected one of uniform, log-uniform"),
        ({"num_samples": 0}, "num_samples is 0; expected at least 1"),
        ({"num_samples": -1}, "num_samples is -1; expected at least 1"),
    ],
    ids=str,
)
def test_samples_that_cannot_be_drawn_raise_an_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        sampled_interest_cross_entropy(**VALID, **{"num_samples": 10, **arguments})


@pytest.mark.parametrize("impl", ["auto", "naive", "tiled"])
def test_valid_arguments_raise_no_error(impl):
    for function in FUNCTIONS:
        assert function(**VALID, impl=impl).shape == (N,)


# Triton, where it cannot run -----------------------------------------------------------------------------------------


INTERPRETED, ON_DEVICE_ONLY = "1", "0"
CANNOT_RUN = {
    "not installed": (INTERPRETED, None, torch.ones(N, K, D), "Triton is not installed"),
    "not interpreted": (ON_DEVICE_ONLY, "triton", torch.ones(N, K, D), "the tensors are on cpu"),
    "float64": (INTERPRETED, "triton", torch.ones(N, K, D).double(), "the products are in torch.float64"),
    "bfloat16, interpreted": (
        INTERPRETED,
        "triton",
        torch.ones(N, K, D).bfloat16(),
        "the products are in torch.bfloat16",
    ),
    "interests": (INTERPRETED, "triton", torch.ones(N, 65, D), "there are 65 interests, more than 64"),
    "dimensions": (INTERPRETED, "triton", torch.ones(N, K, 257), "there are 257 dimensions, more than 256"),
}


@pytest.fixture(params=CANNOT_RUN.values(), ids=CANNOT_RUN)
def cannot_run(request, monkeypatch):
    """Arguments that the kernels cannot run on, at least here, and the reason."""
    interpret, name, interests, reason = request.param
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda x: name if x == "triton" else find_spec(x))
    monkeypatch.setenv("TRITON_INTERPRET", interpret)
    return {
        "interests": interests,
        "items": torch.ones(V, interests.shape[2]).to(interests),
        "target": VALID["target"],
    }, reason


def test_triton_says_why_it_cannot_run(cannot_run):
    arguments, reason = cannot_run
    for function in FUNCTIONS:
        with pytest.raises(ValueError, match=f"impl is 'triton', but {reason}; expected 'auto' or 'tiled'"):
            function(**arguments, impl="triton")


def test_triton_is_not_interpreted_unless_asked_for(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match="impl is 'triton', but the tensors are on cpu"):
        interest_cross_entropy(**VALID, impl="triton")
