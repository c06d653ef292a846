"""Models of every kind on fixed batches, and the numbers that they give.

``benchmarks.side_by_side`` runs this file in older trees as well, so it uses nothing but what all of them have.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from recbole_sigma.layers.packing import TrainingBatch, pack
from tests.model.helpers import all_positions, build_random, last_position, pad

SEQUENCES = [[3, 7, 7, 12, 1, 20, 15], [5, 9], [20, 4, 11, 3, 8, 2, 6, 13, 10, 16, 4], [9, 9, 14, 5], [17, 18, 19]]
SHORTER = [[2, 4, 6, 8], [1, 19, 19, 3, 12, 5]]
HISTORIES = [[6, 2, 14], [11], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]
NUM_TARGETS = 18.5
"""What losses are divided by: the mean over the batches of an epoch, and no number of targets of one of them."""
LEARNING_RATE = 0.05

DROPOUT = {"item_dropout_prob": 0.1, "hidden_dropout_prob": 0.2, "attn_dropout_prob": 0.3}
TRANSFORMER = {**DROPOUT, "history_average": 2, "position": "relative"}
WEIGHTS = {"kl_weight": 0.3, "mie_weight": 0.7, "mie_kl_weight": 0.2, "orth_weight": 1.7}
"""Large enough that no part of the loss is lost in another."""


class Case(NamedTuple):
    """A model, and what it is trained on.

    Attributes:
        batches: of the steps, one after another: "packed", "packed shorter", "padded" or "last".
    """

    model: str
    settings: dict
    batches: tuple[str, ...] = ("packed",)


def _sigma(*batches: str, **settings: object) -> Case:
    return Case("SIGMA", {**TRANSFORMER, **WEIGHTS, **settings}, batches or ("packed",))


def _sasrec_ap(*batches: str, **settings: object) -> Case:
    return Case("SASRecAP", {**TRANSFORMER, **settings}, batches or ("packed",))


CASES = {
    "mixture": _sigma(),
    "mixture sampled": _sigma(loss="sampled", mie_loss="sampled"),
    "mixture rotary": _sigma(position="rotary", history_average=0, mie_loss="sampled"),
    "mixture absolute": _sigma(position="absolute", n_layers=2, log_var_bias=0.0, orth_loss="linear"),
    "mixture annealed": _sigma("packed", "packed shorter", "packed", "packed shorter", kl_anneal_steps=3),
    "mixture detached": _sigma(detach_prior=True, mixture_mask=True, soft_interest="mean"),
    "mixture normalized": _sigma(normalize_items=True, temperature=0.5, interest_temperature=2.0, mie_loss="sampled"),
    "mixture of padded batches": _sigma("padded", "last"),
    "soft interests": _sigma(interest="soft", num_categories=2),
    "hard interests": _sigma(interest="hard", category_temperature=0.5),
    "context": _sigma(decoder_context="interests"),
    "context rotary": _sigma(decoder_context="interests", position="rotary", history_average=0, mie_loss="sampled"),
    "context absolute": _sigma(decoder_context="interests", position="absolute", normalize_items=True),
    "standard": _sigma(prior="standard"),
    "standard rotary": _sigma(prior="standard", position="rotary", history_average=0, loss="sampled"),
    "standard annealed": _sigma("packed", "last", prior="standard", position="absolute", kl_anneal_steps=4),
    "standard context": _sigma(prior="standard", decoder_context="interests"),
    "interests": _sigma(scorer="interests"),
    "interests sampled": _sigma(scorer="interests", mie_loss="sampled", mixture_mask=True, soft_interest="mean"),
    "interests normalized": _sigma("padded", "last", scorer="interests", normalize_items=True, kl_anneal_steps=2),
    "SASRecAP": _sasrec_ap(),
    "SASRecAP sampled": _sasrec_ap(loss="sampled", position="rotary", history_average=0),
    "SASRecAP absolute": _sasrec_ap("padded", "last", position="absolute", normalize_items=True, temperature=0.5),
}


def batch_of(kind: str):
    """A batch of one of the kinds that models train on."""
    if kind == "padded":
        return all_positions(*SEQUENCES, width=10)
    if kind == "last":
        return last_position(*SEQUENCES)
    return packed(SHORTER if kind == "packed shorter" else SEQUENCES)


def packed(sequences: list[list[int]]) -> TrainingBatch:
    """The plugin's batch: the next item is the target of every position."""
    items, packing = pack(pad([sequence[:-1] for sequence in sequences]))
    target = torch.cat([torch.tensor(sequence[1:]) for sequence in sequences])
    return TrainingBatch(items, packing, target, None)


def compute(case: Case) -> dict[str, Tensor]:
    """Losses and gradients of each step, then the parameters and what the model makes of histories, in float32."""
    model = build_random(case.model, seed=7, **case.settings).float().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    values = {}
    for step, kind in enumerate(case.batches):
        optimizer.zero_grad()
        batch = batch_of(kind)
        torch.manual_seed(step)
        loss = model.calculate_loss(batch, num_targets=NUM_TARGETS)
        loss.backward()
        values[f"loss {step}"] = loss.detach()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                values[f"{name}: gradient {step}"] = parameter.grad.clone()
        optimizer.step()
    values.update({f"{name}: parameter": parameter.detach() for name, parameter in model.named_parameters()})
    return {**values, **_scores(model.eval())}


@torch.no_grad()
def _scores(model) -> dict[str, Tensor]:
    histories = last_position(*[[*history, 0] for history in HISTORIES])
    return {
        "scores": model.full_sort_predict(histories),
        "user vectors": model.user_vectors(histories),
        "item vectors": model.item_vectors.detach(),
    }
