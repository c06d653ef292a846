import pytest
import torch

from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset, create_loaders, describe
from recbole_sigma.training.trainer import trainer_class

SMALL = {"hidden_size": 8, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 10}


@pytest.fixture
def make(toy_path, tmp_path, monkeypatch):
    """Trainer and loaders of a model on the toy data; the plugin's models are small."""
    monkeypatch.chdir(tmp_path)

    def make(model="SIGMA", **settings):
        small = SMALL if model in ("SIGMA", "SASRecAP") else {}
        config = Config(model, "toy", config_dict={"data_path": str(toy_path), **small, **settings})
        dataset = create_dataset(config)
        loaders = create_loaders(config, dataset)
        torch.manual_seed(0)
        trainer = trainer_class(config)(config, config.model_class(config, loaders[0].dataset))
        trainer.metadata = describe(dataset, loaders[0].dataset)
        return trainer, loaders

    return make
