"""Tables and records of the paper's benchmark that no run has made."""

import numpy as np
import yaml

from benchmarks.paper.plan import read_table
from benchmarks.paper.ranks import encode

METRICS = ("recall@20", "recall@40", "ndcg@20", "ndcg@40")


def write_table(folder, name="small", **content):
    """A table's file, with two rows on ml-100k unless ``content`` says otherwise; returns its path."""
    content = {
        "title": "Small",
        "datasets": {"ml-100k": {"seeds": [1, 2]}},
        "rows": [{"label": "BPR", "model": "BPR"}, {"label": "SIGMA", "model": "SIGMA"}],
        **content,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def table(folder, name="small", **content):
    return read_table(write_table(folder, name, **content))


def record(run, valid=0.1, test=0.2, seen=0.3, ranks=(0, 1, 5, 30), **others):
    """The record of a planned run whose metrics are all the same number, one for each part and rule."""
    names = [*METRICS, *others.pop("metrics", ())]
    return {
        **run.described(),
        "date": "2026-01-02T03:04:05+00:00",
        "epochs": 7,
        "seconds": 60.0,
        "seconds_per_epoch": 8.0,
        "parameters": 1234,
        "seen_removed": {"valid": dict.fromkeys(names, valid), "test": dict.fromkeys(names, test)},
        "seen_ranked": {"valid": dict.fromkeys(names, seen), "test": dict.fromkeys(names, seen)},
        "catalog": {"users": len(ranks), "items": 50, "digest": "d"},
        "versions": {"python": "3.11", "torch": "2.13"},
        "machine": {"cpu": "A CPU", "cores": 2, "threads": 1, "gpu": "none"},
        "settings": run.settings,
        "ranks": encode(np.array(ranks)),
        **others,
    }
