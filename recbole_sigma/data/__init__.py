"""From atomic files to batches: exact time order, packed sequences, one rule for items seen before."""

from typing import TYPE_CHECKING

from recbole_sigma.deprecation import renamed
from recbole_sigma.lazy import lazy_names

if TYPE_CHECKING:
    from recbole_sigma.data.dataset import create_dataset
    from recbole_sigma.data.metadata import DescribedDataset, data_fingerprint, describe, identify
    from recbole_sigma.data.splits import create_loaders

__all__ = ["DescribedDataset", "create_dataset", "create_loaders", "data_fingerprint", "describe", "identify"]
_find, __dir__ = lazy_names(
    __name__,
    {
        "dataset": ("create_dataset",),
        "metadata": ("DescribedDataset", "data_fingerprint", "describe", "identify"),
        "splits": ("create_loaders",),
    },
)
__getattr__ = renamed(__name__, {"prepare_data": "recbole_sigma.data:create_loaders"}, _find)
