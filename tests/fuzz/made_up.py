"""Random small data sets and settings, each from a number."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from tests.reference.split import by_user, in_time_order
from tests.reference.tables import Row

MODELS = ["Pop", "BPR", "SASRec", "SASRecAP", "SIGMA"]
SOURCES = ["atomic", "csv", "parquet"]
TOKENS = {
    "plain": lambda number: f"i{number}",
    "numbers": str,
    "look like numbers": lambda number: (
        ["7", "07", "7.0", "7e0", "+7", " 7", "7 ", "0x7", "1_0", "10"][number % 10] + str(number // 10) * (number > 9)
    ),
    "long": lambda number: str(9_999_999_999_990_000 + number),
    "unicode": lambda number: (
        ["é", "e\u0301", "日本", "a b", "\u00a0", "🙂", "ß", "SS", "İ", "i"][number % 10]
        + str(number // 10) * (number > 9)
    ),
    "words": lambda number: ["True", "inf", "-", "#", "0", "", "False", "-1", "\\", "'"][number % 10] + f"_{number}",
    "quotes": lambda number: (
        ['"', 'a"b', '"q"', "'", 'end"', '""', "a,b", "a;b", 'c"', '"d'][number % 10] + str(number)
    ),
}


@dataclass(frozen=True)
class Case:
    """A data set and the settings of a run.

    ``types`` are those of its columns in Parquet, and ``drop`` is what ``prepare`` leaves out: duplicates or repeats.
    """

    seed: int
    rows: list[Row]
    model: str
    source: str
    split: dict
    group_by: str
    remove_seen: bool
    filters: dict = field(default_factory=dict)
    types: dict = field(default_factory=dict)
    times_as_dates: bool = False
    topk: int = 5
    drop: str = ""

    @property
    def is_sequential(self) -> bool:
        return self.model not in ("Pop", "BPR")

    @property
    def ratios(self) -> list[float] | None:
        return self.split.get("RS")


def make(seed: int) -> Case:
    """The case of a seed; the same on every machine."""
    draw = random.Random(seed)
    source = draw.choice(SOURCES)
    kinds = [draw.choice(sorted(TOKENS)) for _ in range(2)]
    pairs = _histories(draw, *kinds)
    dates = source != "atomic" and draw.random() < 0.3
    rows = _timed(draw, pairs, dates)
    if draw.random() < 0.3:
        rows += draw.choices(rows, k=draw.randint(1, len(rows)))  # exact duplicates
    order = draw.choice(["shuffled", "by time", "by user", "newest first"])
    if order == "shuffled":
        draw.shuffle(rows)
    elif order == "by time":
        rows = in_time_order(rows)
    elif order == "newest first":
        rows = in_time_order(rows)[::-1]
    rows = [row._replace(line=line) for line, row in enumerate(rows)]
    split, group_by = draw.choice(
        [
            *[({"LS": "valid_and_test"}, "user")] * 4,
            ({"LS": draw.choice(["test_only", "valid_only"])}, "user"),
            *[({"RS": _ratios(draw)}, "user")] * 2,
            *[({"RS": _ratios(draw)}, "none")] * 2,
        ]
    )
    return Case(
        seed,
        rows,
        draw.choice(MODELS),
        source,
        split,
        group_by,
        draw.random() < 0.6,
        _filters(draw),
        {column: _type(draw, kind) for column, kind in zip(("user", "item"), kinds)},
        dates,
        draw.randint(1, 6),
        draw.choice(["", "", "", "duplicates", "repeats"]) if source != "atomic" else "",
    )


def _histories(draw, user_kind: str, item_kind: str) -> list[tuple[str, str]]:
    """Pairs of a user and an item, user by user in the order of time."""
    num_users, num_items = draw.randint(2, 24), draw.randint(3, 30)
    lengths = draw.choice([[1, 2, 3, 4], [1, 1, 1, 8], [3, 5, 9], [6, 14], [2, 25]])
    repeats, new = draw.choice([0, 0, 0.2, 0.8]), draw.choice([0, 0.3])
    users = draw.sample(range(100), num_users)
    pairs, num_new = [], 0
    for user in users:
        history: list[int] = []
        for _ in range(draw.choice(lengths)):
            unused = [item for item in range(num_items) if item not in history]
            repeated = history and (not unused or draw.random() < repeats)
            history.append(draw.choice(history if repeated else unused))
        if draw.random() < new:
            history[-1] = num_items + num_new  # an item that is often not trained on
            num_new += 1
        pairs += [(TOKENS[user_kind](user), TOKENS[item_kind](item)) for item in history]
    return pairs


def _timed(draw, pairs: list[tuple[str, str]], dates: bool) -> list[Row]:
    start, step = draw.choice(
        [(0, 1), (1_600_000_000, 1), (1_600_000_000, 3600), (1_600_000_000_000, 7), (-5, 1), (0.25, 0.125), (1e6, 0)]
    )
    if dates:
        start, step = draw.choice([(1_600_000_000, 1), (1_600_000_000, 86_400), (1_600_000_000.5, 0.25)])
    ties = draw.choice([0, 0.3, 0.9])
    together = draw.random() < 0.5  # all users live at the same time
    rows, time = [], start
    for line, (user, item) in enumerate(pairs):
        if line and user != pairs[line - 1][0] and together:
            time = start + step * draw.randint(0, 3)
        elif draw.random() >= ties:
            time += step * draw.randint(1, 3)
        rows.append(Row(line, user, item, float(time), draw.choice([1.0, 2.0, 3.5, 4.0, 5.0])))
    return rows


def _ratios(draw) -> list[float]:
    return draw.choice([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.7, 0.2, 0.1], [8, 1, 1], [0.4, 0.3, 0.3], [0.5, 0, 0.5]])


def _filters(draw) -> dict:
    """Settings that filter rows, most often none."""
    if draw.random() < 0.6:
        return {}
    choices = {
        "rm_dup_inter": ["first", "last"],
        "val_interval": [{"rating": "[2,inf)"}, {"rating": "(1,4];[5,5]"}],
        "user_inter_num_interval": ["[2,inf)", "[3,inf)", "[2,9]"],
        "item_inter_num_interval": ["[2,inf)", "(1,30]"],
    }
    return {key: draw.choice(choices[key]) for key in draw.sample(sorted(choices), draw.randint(1, 3))}


def _type(draw, kind: str) -> str:
    texts = ["string", "large_string", "dictionary"]
    return draw.choice(
        [*texts, "int", *(["float"] if kind == "numbers" else [])] if kind in ("numbers", "long") else texts
    )


def date_of(time: float, draw: random.Random) -> str:
    """A time as a date in UTC or another zone."""
    moment = datetime.fromtimestamp(time, timezone.utc)
    if draw.random() < 0.3:
        return moment.astimezone(timezone(timedelta(hours=draw.randint(-11, 12)))).isoformat()
    return moment.replace(tzinfo=None).isoformat(sep=draw.choice("T "))


def described(case: Case) -> str:
    """What is needed to repeat a case, and to see what it is about."""
    users = by_user(case.rows)
    return (
        f"repeat it with: python -m tests.fuzz {case.seed}\n"
        f"seed {case.seed}: {case.model} on {len(case.rows)} rows of {len(users)} users "
        f"from {case.source} {case.types}, drop {case.drop or 'nothing'}, "
        f"split {case.split} group_by {case.group_by}, remove_seen {case.remove_seen}, topk {case.topk}, "
        f"{case.filters or 'no filters'}"
    )
