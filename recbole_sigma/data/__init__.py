"""From atomic files to batches: exact time order, packed sequences, one rule for items seen before."""

from recbole_sigma.data.dataset import create_dataset
from recbole_sigma.data.metadata import DescribedDataset, describe, data_fingerprint, identify
from recbole_sigma.data.splits import create_loaders

__all__ = ["DescribedDataset", "create_dataset", "describe", "data_fingerprint", "identify", "create_loaders"]
