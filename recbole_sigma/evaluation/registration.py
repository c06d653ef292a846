"""Metrics of the plugin among those of RecBole."""

from __future__ import annotations

from recbole.evaluator import register


def register_metric(metric: type) -> type:
    """Decorator: RecBole finds the metric by its name.

    It collects those of its own module into these tables when it is imported (evaluator/register.py:63), and reads
    everything about a metric from them, as the plugin's Config does.
    """
    name = metric.__name__.lower()
    register.metrics_dict[name] = metric
    register.metric_types[name] = metric.metric_type
    register.metric_information[name] = metric.metric_need
    return metric
