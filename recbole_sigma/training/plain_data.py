"""Values as plain data, which PyTorch's safe loader reads, and back."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse

from recbole_sigma.errors import CheckpointError


def to_plain(value):
    """Numbers, texts, tensors and containers stay as they are; arrays and sparse matrices become dicts of tensors.

    One-dimensional arrays of texts become one text and the position where each of them ends.

    Raises:
        CheckpointError: a value of another type.
    """
    if isinstance(value, np.generic):  # before float: a numpy.float64 is one
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str, torch.Tensor)):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "UO":
        texts = list(map(str, value))
        ends = torch.tensor([len(text) for text in texts], dtype=torch.long).cumsum(0)
        return {"__kind__": "texts", "text": "".join(texts), "ends": ends}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {"__kind__": "ndarray", "data": torch.from_numpy(np.ascontiguousarray(value))}
    if sparse.issparse(value):
        csr = value.tocsr()
        parts = {name: torch.from_numpy(getattr(csr, name)) for name in ("data", "indices", "indptr")}
        array = isinstance(value, sparse.sparray)
        return {"__kind__": "sparse", "format": value.format, "array": array, "shape": list(value.shape), **parts}
    if isinstance(value, dict):
        return {to_plain(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(to_plain, value))
    raise CheckpointError(f"a value of the type {type(value).__name__} cannot be saved as plain data")


def from_plain(value):
    """Inverse of ``to_plain``."""
    if isinstance(value, dict):
        if value.get("__kind__") == "ndarray":
            return value["data"].numpy()
        if value.get("__kind__") == "texts":
            ends = value["ends"].tolist()
            return np.array([value["text"][start:end] for start, end in zip([0, *ends], ends)], dtype=object)
        if value.get("__kind__") == "sparse":
            matrix = sparse.csr_array if value["array"] else sparse.csr_matrix
            parts = tuple(value[name].numpy() for name in ("data", "indices", "indptr"))
            csr = matrix(parts, shape=tuple(value["shape"]))
            csr.check_format(full_check=True)  # the conversion to other formats writes to memory by these indices
            return csr.asformat(value["format"])
        return {key: from_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(from_plain, value))
    return value
