"""The README in the folder of an exported model."""

from __future__ import annotations

from pathlib import Path

from recbole_sigma.export.encoder import Encoder
from recbole_sigma.recommend import Recommender
from recbole_sigma.version import __version__

TITLES = {"onnx": "ONNX", "torch": "a program of torch.export"}
FILES = {"onnx": "model.onnx", "torch": "model.pt2"}
IMPORTS = {
    "onnx": "import json\nimport numpy as np\nimport onnxruntime",
    "torch": "import json\nimport numpy as np\nimport torch",
}
RUNS = {
    "onnx": """\
session = onnxruntime.InferenceSession("model.onnx")
({output},) = session.run(["{output}"], {{"item_seq": item_seq}})""",
    "torch": """\
with torch.no_grad():
    {output} = torch.export.load("model.pt2").module()(torch.from_numpy(item_seq)).numpy()""",
}
PROGRAM = """\
# {model} as {title}

Written by recbole_sigma {version} from `{checkpoint}`: {num_items:,} items, histories of up to {max_length}.

- `{file}`: `item_seq`, int64 `[B, T]`, to `{output}`, float32 `{shape}`. A row is the ids of the last {max_length}
  items of a user, oldest first, padded with 0 on the right; {sizes}. A row of zeros alone has no meaning.
{vectors}\
- `items.json`: `tokens`, `titles` and `popularity` of the items, by id (training interactions); id 0 is the padding.
- It was compared with the model on random histories: the largest difference is {difference:.0e} of the largest value.

```python
{imports}

tokens = json.load(open("items.json", encoding="utf-8"))["tokens"]
history = [tokens.index(token) for token in {history}][-{max_length}:]
item_seq = np.zeros((1, {max_length}), dtype=np.int64)
item_seq[0, : len(history)] = history
{run}
{score}scores[0, [0, *history]] = -np.inf  # the padding, and what the user had
for item in np.argsort(-scores[0])[:10]:
    print(tokens[item], scores[0, item])
```
"""
VECTORS = "- `items.npy`: float32 `[{rows}, {size}]`, the vector of each item by id.{use}\n"
SCORE = 'scores = (user_vectors @ np.load("items.npy").T).max(1)  # [B, V]\n'
WEIGHTS = """\
# {model} as safetensors

Written by recbole_sigma {version} from `{checkpoint}`: {num_items:,} items, histories of up to {max_length}.

- `model.safetensors`: the weights, by their names in the model.
- `settings.json`: the model and its settings; `data.safetensors`: the arrays that belong to them.
- `items.json`: `tokens`, `titles` and `popularity` of the items, by id (training interactions); id 0 is the padding.

With `pip install "recbole-sigma[safetensors]"`, in this folder:

```python
from recbole_sigma.export import load_weights

for one in load_weights(".").recommend([{history}], k=10):
    print(one.items, one.scores)
```
"""


def of_program(recommender: Recommender, encoder: Encoder, format: str, difference: float) -> str:
    """Shapes, types and runnable code for a program of this format."""
    vectors, shape = "", "[B, V]"
    if encoder.any_length:
        rows, size = recommender.model.item_vectors.shape
        use = " Its score is the largest of its products with the K vectors of a user."
        vectors = VECTORS.format(rows=rows, size=size, use=use if encoder.output == "user_vectors" else "")
    if encoder.output == "user_vectors":
        shape = "[B, K, D]"
    length = f"T is 1 to {encoder.max_length}" if encoder.any_length else f"T is {encoder.max_length} always"
    return PROGRAM.format(
        **_about(recommender),
        title=TITLES[format],
        file=FILES[format],
        output=encoder.output,
        shape=shape,
        sizes=f"B is any number, {length}",
        vectors=vectors,
        difference=difference,
        imports=IMPORTS[format],
        run=RUNS[format].format(output=encoder.output),
        score=SCORE if encoder.output == "user_vectors" else "",
    )


def of_weights(recommender: Recommender) -> str:
    """What the files hold, and how to load them."""
    return WEIGHTS.format(**_about(recommender))


def _about(recommender: Recommender) -> dict:
    return {
        "model": recommender.state["model"],
        "version": __version__,
        "checkpoint": Path(recommender.path).name,
        "num_items": len(recommender.catalog),
        "max_length": recommender.settings["MAX_ITEM_LIST_LENGTH"],
        "history": [str(token) for token in recommender.catalog.tokens[1:4]],
    }
