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
    """The settings; where those of the members of an average differ, the values of all members in their order."""
    configs = [member.state["config"] for member in recommender.members] or [recommender.state["config"]]
    models = [member.model for member in recommender.members] or [recommender.model]
    own = set().union(*(model_keys(type(model)) for model in models))
    rows = []
    for key in [*OF_EVERY_MODEL, *sorted(own - set(OF_EVERY_MODEL))]:
        values = [json.dumps(config[key], ensure_ascii=False) if key in config else "" for config in configs]
        if any(values):
            rows.append((key, values[0] if len(set(values)) == 1 else " | ".join(values)))
    return Section("settings", "Settings", {"rows": rows})
