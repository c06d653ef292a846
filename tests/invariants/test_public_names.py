"""Every name that version 0.1.0 documented can still be used, and so does its example of a model of one's own."""

import warnings

import pytest

import recbole_sigma
from tests.invariants.stored import check, same_draws

NAMES = [
    "recbole_sigma.Config",
    "recbole_sigma.Recommender",
    "recbole_sigma.__version__",
    "recbole_sigma.checkpoint.add",
    "recbole_sigma.checkpoint.load",
    "recbole_sigma.checkpoint.restore",
    "recbole_sigma.checkpoint.save",
    "recbole_sigma.compare_models",
    "recbole_sigma.data.atomic_writer.Written",
    "recbole_sigma.data.atomic_writer.write_atomic_files",
    "recbole_sigma.data.create_dataset",
    "recbole_sigma.data.describe",
    "recbole_sigma.data.prepare_data",
    "recbole_sigma.data.tables.Columns",
    "recbole_sigma.data.tables.read_table",
    "recbole_sigma.errors.CheckpointError",
    "recbole_sigma.errors.ConfigError",
    "recbole_sigma.errors.DataError",
    "recbole_sigma.errors.MissingExtraError",
    "recbole_sigma.errors.RecBoleSigmaError",
    "recbole_sigma.errors.RequestError",
    "recbole_sigma.errors.TrainingError",
    "recbole_sigma.evaluation.diversity.bit_masks",
    "recbole_sigma.evaluation.diversity.diversity",
    "recbole_sigma.export.export_checkpoint",
    "recbole_sigma.export.load_weights",
    "recbole_sigma.layers.attention.CausalSelfAttention",
    "recbole_sigma.layers.attention.CausalTransformer",
    "recbole_sigma.layers.attention.RotaryPosition",
    "recbole_sigma.layers.attention.TransformerBlock",
    "recbole_sigma.layers.gaussian.sample",
    "recbole_sigma.layers.history_average.HistoryAverage",
    "recbole_sigma.layers.interest_context.InterestContext",
    "recbole_sigma.layers.interests.InterestEncoder",
    "recbole_sigma.layers.interests.Interests",
    "recbole_sigma.layers.packing.Packing",
    "recbole_sigma.layers.packing.TrainingBatch",
    "recbole_sigma.layers.packing.pack",
    "recbole_sigma.layers.sequence_input.SequenceInput",
    "recbole_sigma.load",
    "recbole_sigma.losses.gaussian_kl",
    "recbole_sigma.losses.gaussian_log_prob",
    "recbole_sigma.losses.interest_scores",
    "recbole_sigma.losses.mixture_kl",
    "recbole_sigma.losses.mixture_log_prob",
    "recbole_sigma.losses.orthogonality",
    "recbole_sigma.model.MODELS",
    "recbole_sigma.model.SASRecAP",
    "recbole_sigma.model.SIGMA",
    "recbole_sigma.model.all_position.AllPositionRecommender",
    "recbole_sigma.model.sigma.LossTerms",
    "recbole_sigma.ops.InterestScan",
    "recbole_sigma.ops.interest_cross_entropy",
    "recbole_sigma.ops.interest_scan",
    "recbole_sigma.ops.sampled_interest_cross_entropy",
    "recbole_sigma.precision",
    "recbole_sigma.precision.full",
    "recbole_sigma.precision.layers",
    "recbole_sigma.precision.products",
    "recbole_sigma.quick_start.Prepared",
    "recbole_sigma.quick_start.prepare",
    "recbole_sigma.recommend.Category",
    "recbole_sigma.recommend.Explanation",
    "recbole_sigma.recommend.Interest",
    "recbole_sigma.recommend.Recommendation",
    "recbole_sigma.recommend.index.ApproximateRecommender",
    "recbole_sigma.report.write_report",
    "recbole_sigma.run_recbole_sigma",
    "recbole_sigma.settings.at_least",
    "recbole_sigma.settings.check_settings",
    "recbole_sigma.settings.interval",
    "recbole_sigma.settings.is_bool",
    "recbole_sigma.settings.more_than",
    "recbole_sigma.settings.number",
    "recbole_sigma.settings.one_of",
]
"""Of docs/api.md, and what the other documents import or name."""
ATTRIBUTES = [
    "recbole_sigma.recommend.Explanation.behind",
    "recbole_sigma.Config.plain_dict",
    "recbole_sigma.Recommender.recommend",
    "recbole_sigma.Recommender.recommend_users",
    "recbole_sigma.Recommender.interests",
    "recbole_sigma.Recommender.categories",
    "recbole_sigma.Recommender.explain",
    "recbole_sigma.Recommender.index",
    "recbole_sigma.Recommender.read",
    "recbole_sigma.Recommender.batches",
    "recbole_sigma.Recommender.check_k",
    "recbole_sigma.Recommender.rank",
    "recbole_sigma.recommend.index.ApproximateRecommender.recall",
    "recbole_sigma.model.all_position.AllPositionRecommender.check_combination",
    "recbole_sigma.model.all_position.AllPositionRecommender.init_weights",
    "recbole_sigma.model.all_position.AllPositionRecommender.compile_layers",
    "recbole_sigma.model.all_position.AllPositionRecommender.encode_users",
    "recbole_sigma.model.all_position.AllPositionRecommender.user_vectors",
    "recbole_sigma.model.all_position.AllPositionRecommender.predict",
    "recbole_sigma.model.all_position.AllPositionRecommender.full_sort_predict",
    "recbole_sigma.model.all_position.AllPositionRecommender.item_loss",
    "recbole_sigma.model.all_position.AllPositionRecommender.training_batch",
    "recbole_sigma.layers.packing.Packing.spread",
    "recbole_sigma.layers.packing.Packing.by_group",
]
"""Of docs/api.md, those that a user of the package calls, and those that a model of one's own relies on."""
GRUAP = '''\
from torch import nn

import recbole_sigma
from recbole_sigma import precision
from recbole_sigma.model.all_position import AllPositionRecommender


class GRUAP(AllPositionRecommender):
    """A GRU over the items, trained on all positions."""

    properties = "SASRecAP"  # its defaults hold: hidden_size, dropout, batch size and so on

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.embed = self.sequence_input(config)
        self.gru = nn.GRU(config["hidden_size"], config["hidden_size"], batch_first=True)
        self.init_weights(config["initializer_range"])

    def encode(self, items, packing):  # item vectors [M, D] -> a state after each item [M, D]
        return packing.by_group(lambda rows: self.gru(rows)[0], self.embed(items, packing))

    def encode_users(self, items, packing):  # item ids [M] -> user vectors [B, K, D], here K = 1
        states = self.encode(self.item_embedding(items), packing)
        return states[packing.last].unsqueeze(1) / self.temperature

    def calculate_loss(self, interaction, num_targets=None):
        batch = self.training_batch(interaction)
        with precision.layers(self.item_embedding(batch.items)):
            users = batch.select(self.encode(self.item_embedding(batch.items), batch.packing))
        loss = self.item_loss(users, self.item_vectors[1:], batch.target, self.temperature, self.loss)
        return loss / (num_targets or len(batch.target))
'''
"""The model of docs/new-model.md."""
SMALL = {"hidden_size": 8, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 10, "epochs": 1, "precision": "float32"}
LEARNING = {"train_batch_size": 4, "learning_rate": 0.02, "initializer_range": 0.3, "show_progress": False}


@pytest.fixture(autouse=True)
def quietly():
    """Old names may say that they have new ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def documented(name):
    """What ``from module import name`` brings."""
    module, _, attribute = name.rpartition(".")
    return getattr(__import__(module, fromlist=[attribute]), attribute)


@pytest.mark.parametrize("name", NAMES)
def test_a_documented_name_can_be_imported(name):
    assert documented(name) is not None


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_a_documented_class_has_what_it_had(name):
    owner, _, attribute = name.rpartition(".")
    assert hasattr(documented(owner), attribute)


@same_draws
def test_the_documented_model_of_ones_own_trains_as_it_did(toy_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(GRUAP, names)
    settings = {**SMALL, **LEARNING, "data_path": str(toy_path), "metric_decimal_place": 8, "topk": [5]}
    result = recbole_sigma.run_recbole_sigma(names["GRUAP"], "toy", config_dict={**settings, "valid_metric": "NDCG@5"})
    tested = result["test_result_by_rule"]["recbole"]  # the rule of the version that the numbers are of
    check("own model/result", {"parameters": result["parameters"], "epochs": result["epochs"], "test_result": tested})
    recommender = recbole_sigma.load(result["checkpoint"], device="cpu", model_class=names["GRUAP"])
    (recommendation,) = recommender.recommend([["i3", "i7", "i1"]], k=5)
    check("own model/recommendation", [recommendation.items, recommendation.scores])
