"""From atomic files to batches: exact time order, sequences held flat, one rule for items seen before."""

from recbole_sigma.data.dataset import create_dataset
from recbole_sigma.data.description import DescribedDataset, describe, digest_of_data, identify
from recbole_sigma.data.preparation import prepare_data

__all__ = ["DescribedDataset", "create_dataset", "describe", "digest_of_data", "identify", "prepare_data"]
