"""The README in the folder of an exported model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from recbole_sigma.export import names
from recbole_sigma.export.encoder import Encoder
from recbole_sigma.recommend import Recommender
from recbole_sigma.version import __version__

WRITTEN_BY = "Written by recbole_sigma"
HEAD = (
    "# {model} as {title}\n\n"
    + WRITTEN_BY
    + " {version} from `{checkpoint}`: {num_items:,} items, histories of up to {max_length}.\n\n"
)
ITEMS = """\
- `{items}`: `tokens`, `titles` and `popularity` of the items, by id (training interactions); id 0 is the padding.
"""
TITLES = {"onnx": "ONNX", "torch": "a program of torch.export"}
IMPORTS = {
    "onnx": "import json\nimport numpy as np\nimport onnxruntime",
    "torch": "import json\nimport numpy as np\nimport torch",
}
RUNS = {
    "onnx": """\
    session = onnxruntime.InferenceSession("{file}")
    ({output},) = session.run(["{output}"], {{"item_seq": item_seq}})""",
    "torch": """\
    with torch.no_grad():
        {output} = torch.export.load("{file}").module()(torch.from_numpy(item_seq)).numpy()""",
}
PROGRAM = (
    HEAD
    + """\
- `{file}`: `item_seq`, int64 `[B, T]`, to `{output}`, float32 `{shape}`. A row is the ids of the last {max_length}
  items of a user, oldest first, padded with 0 on the right; {sizes}. A row of zeros has no meaning.
- Leave out items that the model does not know. An id that is not from 1 to {num_items}, or that comes after a 0, ends the
  run with an error: index out of bounds{unchecked}.
{weights}{vectors}"""
    + ITEMS
    + """\
- Compared with the model on random histories, the largest difference is {difference:.0e} of the largest value.

```python
{imports}

items = json.load(open("{items}", encoding="utf-8"))
tokens = items["tokens"]
history = [tokens.index(token) for token in {history} if token in tokens]  # oldest first
if history:
    read = history[-{max_length}:]
    item_seq = np.zeros((1, {max_length}), dtype=np.int64)
    item_seq[0, : len(read)] = read
{run}
{score}else:  # no item that the model knows: the most popular ones
    scores = np.array([items["popularity"]], dtype=np.float32)
scores[0, [0, *history]] = -np.inf  # the padding, and the items of the history
best = np.argsort(-scores[0], kind="stable")[:10]
for item in best[scores[0, best] > -np.inf]:
    print(tokens[item], scores[0, item])
```
"""
)
WEIGHTS_BESIDE = "- `{name}`: its weights.\n"
VECTORS = "- `{name}`: float32 `[{rows}, {size}]`, the vector of each item by id.{use}\n"
SCORE = '    scores = (user_vectors @ np.load("{name}").T).max(1)  # [B, V]\n'
OF_WEIGHTS = (
    HEAD
    + """\
- `{file}`: the weights, by their names in the model.
- `{settings}`: the model, its settings and its data set; `{data}`: the arrays that they contain.
"""
    + ITEMS
    + """
With `pip install "recbole-sigma[safetensors]"`, in this folder:

```python
from recbole_sigma.export import load_weights

for one in load_weights("."{own_class}).recommend([{history}], k=10{times}):
    print(one.items, one.scores)
```
"""
)


def of_program(recommender: Recommender, encoder: Encoder, format: str, difference: float, files: Iterable[str]) -> str:
    """Shapes, types and runnable code for a program of this format; ``files`` are those already written."""
    vectors, shape = "", "[B, V]"
    if encoder.any_length:
        rows, size = recommender.model.item_vectors.shape
        use = " Its score is the largest of its products with the K vectors of a user."
        vectors = VECTORS.format(
            name=names.ITEM_VECTORS, rows=rows, size=size, use=use if encoder.output == "user_vectors" else ""
        )
    if encoder.output == "user_vectors":
        shape = "[B, K, D]"
    length = f"T is 1 to {encoder.max_length}" if encoder.any_length else f"T is always {encoder.max_length}"
    return PROGRAM.format(
        **_about(recommender, format),
        title=TITLES[format],
        output=encoder.output,
        shape=shape,
        sizes=f"B is any number, {length}",
        weights=WEIGHTS_BESIDE.format(name=names.ONNX_WEIGHTS) if names.ONNX_WEIGHTS in files else "",
        vectors=vectors,
        difference=difference,
        imports=IMPORTS[format],
        run=RUNS[format].format(file=names.MODEL[format], output=encoder.output),
        score=SCORE.format(name=names.ITEM_VECTORS) if encoder.output == "user_vectors" else "",
    )


def of_weights(recommender: Recommender, own_class: bool) -> str:
    """What the files contain, and how to load them; a model of the user's own needs its class."""
    about = _about(recommender, "safetensors")
    times = list(range(1, 1 + len(about["history"])))
    return OF_WEIGHTS.format(
        **about,
        times=f", times=[{times}]" if getattr(recommender.model, "reads_times", False) else "",
        title="safetensors",
        settings=names.SETTINGS,
        data=names.DATA,
        own_class=f", model_class={recommender.state['model']}" if own_class else "",
    )


def _about(recommender: Recommender, format: str) -> dict:
    return {
        "file": names.MODEL[format],
        "items": names.ITEMS,
        "model": recommender.state["model"],
        "version": __version__,
        "checkpoint": Path(recommender.path).name,
        "num_items": len(recommender.catalog),
        "unchecked": ", on a CPU; on a GPU, check ids before" if format == "onnx" else "",
        "max_length": recommender.settings["MAX_ITEM_LIST_LENGTH"],
        "history": [str(token) for token in recommender.catalog.tokens[1:4]],
    }
