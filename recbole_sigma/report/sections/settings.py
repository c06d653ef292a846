"""The settings that the model was trained with."""

from __future__ import annotations

import json

from recbole_sigma.config import model_keys
from recbole_sigma.recommend import Recommender
from recbole_sigma.report.section import Section

OF_EVERY_MODEL = (
    "seed", "epochs", "stopping_step", "train_batch_size", "learning_rate", "weight_decay", "eval_args", "valid_metric",
    "remove_seen", "val_interval", "user_inter_num_interval", "item_inter_num_interval",
)  # fmt: skip


def settings(recommender: Recommender) -> Section:
    config = recommender.state["config"]
    keys = [*OF_EVERY_MODEL, *sorted(model_keys(type(recommender.model)) - set(OF_EVERY_MODEL))]
    rows = [(key, json.dumps(config[key], ensure_ascii=False)) for key in keys if key in config]
    return Section("settings", "Settings", {"rows": rows})
