"""The page of the public functions and classes, from their signatures and docstrings."""

from __future__ import annotations

import inspect
import re
import textwrap
from importlib import import_module
from typing import Any

INTRODUCTION = """\
# Python interface

<!-- Written by `python docs/generate.py` from the docstrings; change those. -->

Numbers in parentheses are equations of SIGMA's paper (Li et al., DASFAA 2025). `[M, D]` is the shape of a tensor.
"""

PUBLIC = {
    "Training and comparing": [
        "recbole_sigma.run_recbole_sigma",
        "recbole_sigma.compare_models",
        "recbole_sigma.run_seeds",
        "recbole_sigma.Config",
        "recbole_sigma.quick_start.build_run",
        "recbole_sigma.quick_start.RunParts",
    ],
    "Using what was trained": [
        "recbole_sigma.load",
        "recbole_sigma.Recommender",
        "recbole_sigma.recommend.Recommendation",
        "recbole_sigma.recommend.Interest",
        "recbole_sigma.recommend.Category",
        "recbole_sigma.recommend.Explanation",
        "recbole_sigma.report.write_report",
        "recbole_sigma.export.export_checkpoint",
        "recbole_sigma.export.load_weights",
    ],
    "Data": [
        "recbole_sigma.data.create_dataset",
        "recbole_sigma.data.create_loaders",
        "recbole_sigma.data.describe",
        "recbole_sigma.data.tables.read_table",
        "recbole_sigma.data.tables.Columns",
        "recbole_sigma.data.atomic_writer.write_atomic_files",
        "recbole_sigma.data.atomic_writer.Written",
    ],
    "Models": [
        "recbole_sigma.model.SIGMA",
        "recbole_sigma.model.SASRecAP",
        "recbole_sigma.model.base.NextItemRecommender",
        "recbole_sigma.model.multi_interest.MultiInterestRecommender",
        "recbole_sigma.model.base.LossTerms",
        "recbole_sigma.model.base.WarmUp",
        "recbole_sigma.model.base.StepLoss",
    ],
    "Layers": [
        "recbole_sigma.layers.interests.InterestEncoder",
        "recbole_sigma.layers.interests.Interests",
        "recbole_sigma.layers.interest_context.InterestContext",
        "recbole_sigma.layers.transformer.SequenceInput",
        "recbole_sigma.layers.history_average.HistoryAverage",
        "recbole_sigma.layers.transformer.sequence_input",
        "recbole_sigma.layers.transformer.causal_transformer",
        "recbole_sigma.layers.transformer.CausalTransformer",
        "recbole_sigma.layers.transformer.TransformerBlock",
        "recbole_sigma.layers.attention.CausalSelfAttention",
        "recbole_sigma.layers.attention.RotaryPosition",
        "recbole_sigma.layers.packing.pack",
        "recbole_sigma.layers.packing.Packing",
        "recbole_sigma.layers.packing.TrainingBatch",
        "recbole_sigma.layers.gaussian.sample",
    ],
    "Losses": [
        "recbole_sigma.losses.gaussian_kl",
        "recbole_sigma.losses.gaussian_log_prob",
        "recbole_sigma.losses.mixture_log_prob",
        "recbole_sigma.losses.mixture_kl",
        "recbole_sigma.losses.orthogonality",
        "recbole_sigma.losses.interest_scores",
    ],
    "Fused operations": [
        "recbole_sigma.ops.interest_cross_entropy",
        "recbole_sigma.ops.sampled_interest_cross_entropy",
        "recbole_sigma.ops.interest_scan",
        "recbole_sigma.ops.InterestScan",
    ],
    "Evaluation": [
        "recbole_sigma.evaluation.diversity.diversity",
        "recbole_sigma.evaluation.diversity.bit_masks",
    ],
    "Checkpoints": [
        "recbole_sigma.training.checkpoint.save",
        "recbole_sigma.training.checkpoint.load",
        "recbole_sigma.training.checkpoint.add",
        "recbole_sigma.training.checkpoint.restore",
    ],
    "Errors": [
        "recbole_sigma.errors.RecBoleSigmaError",
        "recbole_sigma.errors.ConfigError",
        "recbole_sigma.errors.DataError",
        "recbole_sigma.errors.CheckpointError",
        "recbole_sigma.errors.TrainingError",
        "recbole_sigma.errors.RequestError",
        "recbole_sigma.errors.MissingExtraError",
    ],
}

SECTIONS = {
    "Args": "Arguments",
    "Returns": "Returns",
    "Yields": "Yields",
    "Raises": "Raises",
    "Attributes": "Attributes",
}
WIDTH = 100


def find(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def api_page() -> str:
    parts = [INTRODUCTION]
    for title, names in PUBLIC.items():
        parts.append(f"## {title}\n")
        parts += (_entry(name) for name in names)
    return "\n".join(parts)


def _entry(name: str) -> str:
    thing, short = find(name), name.rpartition(".")[2]
    text = f"### `{name}`\n\n"
    if hasattr(thing, "_fields"):  # a NamedTuple: its fields say more than a signature
        return text + f"```python\n{_fields(thing)}\n```\n\n{markdown(thing.__doc__)}\n"
    if inspect.isclass(thing) and issubclass(thing, Exception):
        base = ", ".join(f"`{base.__name__}`" for base in thing.__bases__)
        return text + f"A {base}. {markdown(thing.__doc__)}\n"
    text += f"```python\n{_signature(short, thing)}\n```\n\n{markdown(inspect.getdoc(thing))}\n"
    if inspect.isclass(thing):
        for method, function in public_methods(thing).items():
            text += f"\n#### `{short}.{method}`\n\n```python\n{_signature(method, function)}\n```\n\n"
            text += f"{markdown(inspect.getdoc(function))}\n"
    return text


def public_methods(cls: type) -> dict[str, Any]:
    """Methods of a class itself that have a docstring of their own."""
    methods = {name: inspect.unwrap(getattr(cls, name)) for name in vars(cls) if not name.startswith("_")}
    are_methods = {name: inspect.isfunction(method) or inspect.ismethod(method) for name, method in methods.items()}
    return {name: method for name, method in methods.items() if are_methods[name] and method.__doc__}


def _fields(named_tuple: type) -> str:
    """The fields as the source has them, with their comments."""
    lines = textwrap.dedent(inspect.getsource(named_tuple)).split("\n")
    fields = [line for line in lines[1:] if re.match(r" {4}\w+: ", line)]
    return "\n".join([f"class {named_tuple.__name__}(NamedTuple):", *fields])


def _signature(name: str, thing: Any) -> str:
    """A call with its types, in one line or one for each parameter."""
    signature = inspect.signature(thing)
    texts, marked = [], False
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not marked:
            texts.append("*")
            marked = True
        text = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "") + parameter.name
        typed = parameter.annotation is not parameter.empty
        text += f": {_type(parameter.annotation)}" if typed else ""
        if parameter.default is not parameter.empty:
            text += f"{' = ' if typed else '='}{parameter.default!r}"
        texts.append(text)
    result = signature.return_annotation
    result = "" if inspect.isclass(thing) or result in (signature.empty, None, "None") else f" -> {_type(result)}"
    line = f"{name}({', '.join(texts)}){result}"
    return line if len(line) <= WIDTH else f"{name}(\n" + "".join(f"    {text},\n" for text in texts) + f"){result}"


def _type(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def markdown(docstring: str) -> str:
    """A docstring of Google's style as Markdown: headings in bold, arguments as a list."""
    blocks = []
    for block in inspect.cleandoc(docstring).split("\n\n"):
        first, *rest = block.split("\n")
        if first.rstrip(":") in SECTIONS and first.endswith(":"):
            text = textwrap.dedent("\n".join(rest))
            blocks.append(f"**{SECTIONS[first[:-1]]}**\n\n{_items(text, first[:-1])}")
        else:
            blocks.append(block)
    return "\n\n".join(blocks).replace("``", "`")


def _items(text: str, section: str) -> str:
    """``name: meaning`` as a list, with what is indented below it; a result without a name is plain text."""
    if section in ("Returns", "Yields"):
        return text
    items = []
    for line in text.split("\n"):
        if line.startswith(" "):
            items[-1] += f"\n  {line.strip()}"
        else:
            names, _, meaning = line.partition(": ")
            items.append("- " + ", ".join(f"`{name}`" for name in names.split(", ")) + f": {meaning}")
    return "\n".join(items)
