"""Metadata: what a checkpoint says of its data set, so that its model can be used without the files."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from recbole.data.dataset import SequentialDataset
from recbole.data.interaction import Interaction
from recbole.utils import FeatureSource, FeatureType
from torch import Tensor

from recbole_sigma.data.categories import ItemCategories, needed_by_model
from recbole_sigma.data.titles import read_item_titles


def identify(dataset) -> dict:
    """Numbers of ``users`` and ``items``, without the padding, and the ``digest`` of their tokens.

    For a model that needs the categories of items, the digest covers them as well.
    """
    digest = hashlib.sha256()
    for field in (dataset.uid_field, dataset.iid_field):
        digest.update("\n".join(map(str, dataset.field2id_token[field])).encode())
    for values in _categories_of_model(dataset) or ():
        digest.update(np.ascontiguousarray(values).data)
    return {"users": dataset.user_num - 1, "items": dataset.item_num - 1, "digest": digest.hexdigest()}


def data_fingerprint(dataset) -> str:
    """Digest of the interactions in their order, and of what ``identify`` covers."""
    digest = hashlib.sha256(identify(dataset)["digest"].encode())
    rows = getattr(dataset, "interactions", dataset.inter_feat)
    columns = dict(rows.interaction)
    if dataset.times is not None:
        columns["exact times"] = dataset.times
    for column, values in columns.items():
        digest.update(column.encode())
        digest.update(np.ascontiguousarray(values.numpy()).data)
    return digest.hexdigest()


def describe(dataset, trained) -> dict:
    """The metadata of a checkpoint: what it says of its data set.

    Args:
        dataset: the whole data set.
        trained: the part of it that a model was built for and is trained on.

    Returns:
        What ``identify`` returns; ``tokens`` of every token field by id; ``fields``, with type, source, length and
        preloaded weights of each; ``features`` of users and items; ``popularity`` ``[V]``, the trained
        interactions of each item; ``titles`` ``[V]`` or None; and ``item_categories``, None unless the model needs
        them.
    """
    categories = _categories_of_model(dataset)
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
        "item_categories": None if categories is None else categories._asdict(),
    }


def _categories_of_model(dataset) -> ItemCategories | None:
    return dataset.item_categories if needed_by_model(dataset.config) else None


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
    """A data set of RecBole without interactions: enough to build the sequential model of a checkpoint.

    Args:
        config: settings of the model.
        description: the metadata, as ``describe`` returns them.

    Attributes:
        counts_users: whether a model has asked for the number of users. Only models that learn a vector for each user
            ask for it.
        item_categories: ``ItemCategories``, if the model needs them.
    """

    def __init__(self, config, description: dict):
        self.description = description
        self.counts_users = False
        categories = description.get("item_categories")
        if categories is not None:
            self.item_categories = ItemCategories(**categories)
        super().__init__(config)

    def training_sequences(self) -> tuple[Tensor, Tensor]:
        """None, ``[0]`` and ``[0]``: what a model counts in training has to be in its checkpoint."""
        return torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)

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
