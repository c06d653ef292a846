"""What a model has to know of its data when they are no longer there: ids, features, popularity and titles."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from recbole.data.dataset import SequentialDataset
from recbole.data.interaction import Interaction
from recbole.utils import FeatureSource, FeatureType

from recbole_sigma.data.titles import read_item_titles


def identify(dataset) -> dict:
    """Numbers of ``users`` and ``items``, padding not counted, and the ``digest`` of their tokens."""
    digest = hashlib.sha256()
    for field in (dataset.uid_field, dataset.iid_field):
        digest.update("\n".join(map(str, dataset.field2id_token[field])).encode())
    return {"users": dataset.user_num - 1, "items": dataset.item_num - 1, "digest": digest.hexdigest()}


def data_fingerprint(dataset) -> str:
    """Of the interactions of a data set, in their order, and of the tokens of users and items."""
    digest = hashlib.sha256(identify(dataset)["digest"].encode())
    rows = getattr(dataset, "interactions", dataset.inter_feat)
    for column, values in rows.interaction.items():
        digest.update(column.encode())
        digest.update(np.ascontiguousarray(values.numpy()).data)
    return digest.hexdigest()


def describe(dataset, trained) -> dict:
    """The part of a checkpoint that speaks of the data.

    Args:
        dataset: the whole data set.
        trained: the part of it that a model was built for and is trained on.

    Returns:
        What ``identify`` returns; ``tokens`` of every token field by id; ``fields``, with type, source, length and
        preloaded weights of each; ``features`` of users and items; ``popularity`` ``[V]``, the trained
        interactions of each item; and ``titles`` ``[V]`` or None.
    """
    return {
        **identify(dataset),
        "tokens": {field: np.asarray(tokens) for field, tokens in trained.field2id_token.items()},
        "fields": {field: _field(trained, field) for field in trained.field2type},
        "features": {
            name: None if features is None else dict(features.interaction)
            for name, features in (("user", trained.user_feat), ("item", trained.item_feat))
        },
        "popularity": np.bincount(trained.inter_matrix().col, minlength=dataset.item_num),
        "titles": read_item_titles(dataset),
    }


def _field(dataset, field: str) -> dict:
    source = dataset.field2source[field]
    length = dataset.field2seqlen[field]
    return {
        "type": dataset.field2type[field].value,
        "source": source.value if isinstance(source, FeatureSource) else source,
        "length": list(length) if isinstance(length, tuple) else length,
        "buckets": dataset.field2bucketnum.get(field),
        "preloaded": dataset._preloaded_weight.get(field),
    }


class DescribedDataset(SequentialDataset):
    """A data set of RecBole without interactions, enough to build the sequential models that it was described for.

    Args:
        config: settings of the model.
        description: as ``describe`` returns it.

    Attributes:
        counts_users: whether a model has asked for the number of users, which only those do that learn a vector of
            each user.
    """

    def __init__(self, config, description: dict):
        self.description = description
        self.counts_users = False
        super().__init__(config)

    def num(self, field):
        self.counts_users |= field == self.uid_field
        return super().num(field)

    def _from_scratch(self):
        """Hook of RecBole, which would read the files here."""
        self._get_preset()
        self._get_field_from_config()
        for field, tokens in self.description["tokens"].items():
            self.field2id_token[field] = tokens
            self.field2token_id[field] = {token: id_ for id_, token in enumerate(tokens)}
        for field, known in self.description["fields"].items():
            source, length = known["source"], known["length"]
            self.field2type[field] = FeatureType(known["type"])
            self.field2source[field] = next((kind for kind in FeatureSource if kind.value == source), source)
            self.field2seqlen[field] = tuple(length) if isinstance(length, list) else length
            if known["buckets"] is not None:
                self.field2bucketnum[field] = known["buckets"]
            if known["preloaded"] is not None:
                self._preloaded_weight[field] = known["preloaded"]
        users, items = (self.description["features"][name] for name in ("user", "item"))
        self.user_feat = None if users is None else Interaction(users)
        self.item_feat = None if items is None else Interaction(items)
        nobody = torch.zeros(0, dtype=torch.long)
        self.inter_feat = Interaction({self.uid_field: nobody, self.iid_field: nobody})
