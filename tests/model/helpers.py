"""Models without files, and batches for them."""

from functools import partial

import torch
from recbole.data.interaction import Interaction

from recbole_sigma.layers.packing import Packing, TrainingBatch
from recbole_sigma.model import MODELS
from tests.model.toy_gru import GRUAP
from tests.model.toy_interests import ToyInterests

NUM_ITEMS = 21  # the padding included
MAX_LENGTH = 10

# What RecBole's Config brings; fill_defaults adds properties/model/<Model>.yaml.
RECBOLE = {
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "LIST_SUFFIX": "_list",
    "ITEM_LIST_LENGTH_FIELD": "item_length",
    "NEG_PREFIX": "neg_",
    "LABEL_FIELD": "label",
    "MAX_ITEM_LIST_LENGTH": MAX_LENGTH,
    "transform": None,
    "device": "cpu",
    "precision": None,
}
SMALL = {
    "hidden_size": 8,
    "inner_size": 12,
    "n_heads": 2,
    "num_categories": 3,
    "num_interests": 3,
    "num_negatives": 7,
    "mie_loss": "full",
    "mie_share": 1.0,
    "item_dropout_prob": 0.0,
    "hidden_dropout_prob": 0.0,
    "attn_dropout_prob": 0.0,
}


class Catalog:
    """What models ask of a data set."""

    def __init__(self, num_items):
        self.num_items = num_items

    def num(self, field):
        assert field == RECBOLE["ITEM_ID_FIELD"]
        return self.num_items


EVERY_MODEL = {**MODELS, "GRUAP": GRUAP, "ToyInterests": ToyInterests}
"""Those of the plugin, one without a Transformer's settings, and one with several vectors per user."""


def build(name, num_items=NUM_ITEMS, **settings):
    """A small model with its initial weights; no dropout unless asked for."""
    return EVERY_MODEL[name]({**RECBOLE, **SMALL, **settings}, Catalog(num_items))


def build_random(name, seed=0, **settings):
    """A small model in float64 in which every parameter matters: none is zero, one, or small."""
    torch.manual_seed(seed)
    model = build(name, **settings).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, dtype=parameter.dtype)
        model.item_embedding.weight[0] = 0
    return model


build_sigma = partial(build, "SIGMA")
random_sigma = partial(build_random, "SIGMA")


def pad(sequences, width=None):
    """Rows ``[B, width]``, padded with zeros on the right."""
    width = width or max(map(len, sequences))
    return torch.tensor([[*sequence, *[0] * (width - len(sequence))] for sequence in sequences])


def to_places(x, mask):
    """Vectors ``[M, ...]`` at the True places of a mask ``[B, T]``, in order, and zeros elsewhere."""
    places = x.new_zeros(*mask.shape, *x.shape[1:])
    places[mask] = x
    return places


def packed(*sequences, device="cpu"):
    """What the plugin's loader makes of whole sequences: every item but the last has a target, the next one."""
    items = torch.tensor([item for sequence in sequences for item in sequence[:-1]], device=device)
    target = torch.tensor([item for sequence in sequences for item in sequence[1:]], device=device)
    return TrainingBatch(items, Packing(torch.tensor([len(s) - 1 for s in sequences]), device), target, None)


def all_positions(*sequences, width=None):
    """The plugin's batch: the next item is the target of every position."""
    inputs = [sequence[:-1] for sequence in sequences]
    return Interaction(
        {
            "item_id_list": pad(inputs, width),
            "item_length": torch.tensor([len(row) for row in inputs]),
            "item_id": pad([sequence[1:] for sequence in sequences], width),
        }
    )


def last_position(*sequences, width=None, label=None):
    """RecBole's batch: the last item of each sequence is the only target of those before it."""
    fields = {
        "item_id_list": pad([sequence[:-1] for sequence in sequences], width),
        "item_length": torch.tensor([len(sequence) - 1 for sequence in sequences]),
        "item_id": torch.tensor([sequence[-1] for sequence in sequences]),
    }
    return Interaction(fields if label is None else {**fields, "label": torch.tensor(label)})
