"""The made-up data of the cases."""

import random

HEADER = ("user_id:token", "item_id:token", "timestamp:float")


def base(n_users=60, n_items=40, seed=1, t0=1_600_000_000, step=3600, lo=6, hi=15):
    """Rows ``(user, item, time)`` in random order: each user has ``lo`` to ``hi`` different items at growing times."""
    draw = random.Random(seed)
    rows = []
    for user in range(n_users):
        time = t0 + draw.randrange(0, 10**6)
        for item in draw.sample(range(n_items), draw.randint(lo, hi)):
            time += draw.randrange(1, step)
            rows.append((f"u{user}", f"i{item}", time))
    draw.shuffle(rows)
    return rows


def write_atomic(folder, rows, header=HEADER, name="d", suffix="inter"):
    """Write rows as ``folder/name/name.suffix``, and return ``folder``, the ``data_path``."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(map(str, row)) for row in (header, *rows)]
    (folder / name / f"{name}.{suffix}").write_text("\n".join(lines) + "\n")
    return folder
