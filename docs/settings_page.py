"""The page of settings, from the comments in the YAML files: ``key: default  # (type) Meaning.``"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

INTRODUCTION = """\
# Settings

<!-- Written by `python docs/generate.py` from the YAML files; change those. -->

Give a setting as `--key=value` on the command line, as `key: value` in a YAML file (`--config_files=my.yaml`), or in
`config_dict` of `run_recbole_sigma`. Later sources win: RecBole's defaults, the plugin's files in the order below, your
files, `config_dict`, the command line. A preset is given like a file, for example `--config_files=SIGMA-paper`; in a
comparison of several models it is for its own model alone. Unknown keys and invalid values raise an error. `~` means
"nothing" in YAML.
"""

FILES = {
    "properties/overall.yaml": "Every model",
    "properties/sequential.yaml": "RecBole's sequential models",
    "properties/next_item.yaml": "The plugin's models",
    "properties/model/*.yaml": "The model {name}",
    "dataset_configs/*.yaml": "The data set {name}",
    "properties/presets/*.yaml": "The preset {name}",
}

RECBOLE = """\
## Settings of RecBole

RecBole's settings work as well, with RecBole's defaults unless a file above sets another. RecBole describes them; these
are needed most:

| about | keys |
| --- | --- |
"""

DOCUMENTATION = "https://recbole.io/docs/user_guide/config"
RECBOLE_KEYS = {
    "environment": [
        "data_path",
        "checkpoint_dir",
        "use_gpu",
        "gpu_id",
        "worker",
        "reproducibility",
        "state",
        "show_progress",
    ],
    "data": [
        *("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD", "RATING_FIELD", "field_separator", "seq_separator"),
        *(
            "load_col",
            "unload_col",
            "rm_dup_inter",
            "val_interval",
            "user_inter_num_interval",
            "item_inter_num_interval",
        ),
        *("MAX_ITEM_LIST_LENGTH", "benchmark_filename"),
    ],
    "training": [
        "epochs",
        "train_batch_size",
        "learner",
        "learning_rate",
        "weight_decay",
        "clip_grad_norm",
        "eval_step",
    ],
    "evaluation": ["eval_args", "metrics", "topk", "valid_metric", "eval_batch_size", "metric_decimal_place"],
}
"""By page of RecBole's documentation, ``<about>_settings.html``."""

DECLARATION = re.compile(r"^(?P<indent> *)(?P<key>\w+):(?P<default>.*?)\s+# \((?P<type>[^)]+)\) (?P<meaning>.+)$")
PART = re.compile(r"^ +(?P<key>\w+): (?P<value>[^#]+)$")


class Setting(NamedTuple):
    key: str
    type: str
    default: str
    meaning: str


def settings_page(root: Path) -> str:
    parts = [INTRODUCTION]
    for pattern, title in FILES.items():
        for path in sorted(root.glob(pattern)):
            parts.append(f"## {title.format(name=path.stem)}\n\n{_file(path, path.relative_to(root))}")
    lines = (
        f"| [{about}]({DOCUMENTATION}/{about}_settings.html) | {', '.join(f'`{key}`' for key in keys)} |\n"
        for about, keys in RECBOLE_KEYS.items()
    )
    return "\n".join(parts) + "\n" + RECBOLE + "".join(lines)


def read_sections(path: Path) -> tuple[str, dict[str, list[Setting]]]:
    """The comment at the top of a file, and the settings below each heading; "" stands for no heading.

    Raises:
        ValueError: a line that is neither a comment at the top, nor a heading, nor a setting with its meaning.
    """
    head, *blocks = path.read_text(encoding="utf-8").split("\n\n")
    if not all(line.startswith("# ") for line in head.split("\n")):
        raise ValueError(f"{path} begins with {head!r}; expected a comment that says what the file is for")
    sections: dict[str, list[Setting]] = {}
    for block in blocks:
        lines = block.rstrip("\n").split("\n")
        heading = lines.pop(0).lstrip("# ") if lines[0].startswith("#") else ""
        settings = sections.setdefault(heading, [])
        for line in lines:
            declared, part = DECLARATION.match(line), PART.match(line)
            if declared:
                key = declared["key"]
                if declared["indent"]:
                    key = f"{settings[-1].key.partition('.')[0]}.{key}"
                settings.append(Setting(key, declared["type"], declared["default"].strip(), declared["meaning"]))
            elif part and settings:
                inside = f"{settings[-1].default.strip('{}')}, {part['key']}: {part['value'].strip()}".lstrip(", ")
                settings[-1] = settings[-1]._replace(default=f"{{{inside}}}")
            else:
                raise ValueError(f"{path}: {line!r} is no setting; expected key: default  # (type) Meaning.")
    return " ".join(line.lstrip("# ") for line in head.split("\n")), sections


def _file(path: Path, name: Path) -> str:
    head, sections = read_sections(path)
    text = f"[`{name.as_posix()}`](../{name.as_posix()}): {head}\n"
    for heading, settings in sections.items():
        text += f"\n### {heading}\n" if heading else ""
        text += "\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n"
        for setting in settings:
            default = f"`{setting.default}`" if setting.default else ""
            meaning = setting.meaning.replace("|", "\\|")
            text += f"| `{setting.key}` | {setting.type} | {default} | {meaning} |\n"
    return text
