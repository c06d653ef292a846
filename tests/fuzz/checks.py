"""What a run must have done, by ``tests.reference``."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import recbole_sigma
from recbole_sigma.errors import RecBoleSigmaError
from tests.fuzz import files, running
from tests.fuzz.made_up import Case
from tests.reference import filters, metrics, ranking, seen, split
from tests.reference.tables import Row

TOLERANCE = 1e-5
"""Of scores in float32 that were computed in two ways."""


def check(case: Case) -> None:
    """Raise AssertionError if a number of the package is not that of the reference."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        rows = _rows_left(case, files.write(case, folder))
        parts = None if not rows else _split(case, rows)
        try:
            run = running.run(case, folder)
        except RecBoleSigmaError as error:
            assert _may_fail(case, rows, parts), f"{type(error).__name__}: {error}"
            return
        assert parts is not None and not _must_fail(case, rows, parts), (
            "this cannot be trained on, and there was no error"
        )
        _check_split(run, case, rows, parts)
        counts = _popularity(rows, parts)
        for phase in ("valid", "test"):
            questions = _questions(case, rows, parts, phase)
            _check_evaluation(run, case, phase, questions, counts)
            _check_said(run.result["validated" if phase == "valid" else "tested"], rows, questions)
        assert {name: run.result["data"][name] for name in ("users", "items", "interactions")} == {
            "users": len({row.user for row in rows}),
            "items": len({row.item for row in rows}),
            "interactions": len(rows),
        }
        if case.model == "Pop":
            _check_counts_of_pop(run, counts)
        if case.is_sequential and run.parts.test_data is not None:
            _check_recommend(run, case, rows, parts, folder)


def _rows_left(case: Case, rows: list[Row]) -> list[Row]:
    own = case.filters
    return filters.filtered(
        rows,
        own.get("rm_dup_inter"),
        own.get("val_interval", {}).get("rating"),
        own.get("user_inter_num_interval"),
        own.get("item_inter_num_interval"),
    )


def _split(case: Case, rows: list[Row]) -> split.Split:
    if case.ratios:
        if "rm_dup_inter" in case.filters:
            rows = split.in_time_order(rows)  # they are sorted for it, before users have their places
        return split.by_ratio(rows, case.ratios, case.group_by == "user", case.is_sequential)
    return split.leave_one_out(rows, case.split["LS"])


def _must_fail(case: Case, rows, parts) -> bool:
    """Whether there is nothing to train on, or the catalog is shorter than the lists."""
    if not rows or len({row.item for row in rows}) < case.topk:
        return True
    return not (parts.targets if case.is_sequential else parts.train)


def _may_fail(case: Case, rows, parts) -> bool:
    """BPR has no negative for a user who had all items."""
    if _must_fail(case, rows, parts):
        return True
    catalog = {row.item for row in rows}
    return case.model == "BPR" and any({row.item for row in own} == catalog for own in split.by_user(rows).values())


def _popularity(rows: list[Row], parts: split.Split) -> dict[str, int]:
    count = Counter(row.item for row in parts.train)
    return {row.item: count[row.item] for row in rows}


def _questions(case: Case, rows, parts, phase: str) -> list[seen.Question]:
    return seen.of_sequences(rows, getattr(parts, phase)) if case.is_sequential else seen.of_users(parts, phase)


# Split ---------------------------------------------------------------------------------------------------------


def _pairs(rows) -> Counter:
    return Counter((row.user, row.item) for row in rows)


def _differ(found: Counter, expected: Counter) -> str:
    return f"too many {dict(found - expected)}, missing {dict(expected - found)}"


def _check_split(run: running.Run, case: Case, rows, parts: split.Split) -> None:
    dataset = run.parts.dataset
    tokens = {str(token) for token in dataset.field2id_token[dataset.iid_field][1:]}
    assert tokens == {row.item for row in rows}, f"catalog: {sorted(tokens ^ {row.item for row in rows})}"
    expected = {"train": parts.targets if case.is_sequential else parts.train, "valid": parts.valid, "test": parts.test}
    loaders = {"train": run.parts.train_data, "valid": run.parts.valid_data, "test": run.parts.test_data}
    for phase, loader in loaders.items():
        found = (
            Counter()
            if loader is None
            else Counter(
                (run.user(user), run.token(item))
                for user, item in zip(
                    loader.dataset.inter_feat[dataset.uid_field].tolist(),
                    loader.dataset.inter_feat[dataset.iid_field].tolist(),
                )
            )
        )
        wanted = _pairs(expected[phase])
        assert found == wanted, f"rows of {phase}: {_differ(found, wanted)}"
    if case.is_sequential:
        for phase in ("valid", "test"):
            _check_histories(run, loaders[phase], seen.of_sequences(rows, getattr(parts, phase)), phase)


def _check_histories(run: running.Run, loader, questions, phase: str) -> None:
    """The items that a model reads: the last ones before the target, in exact time order."""
    if loader is None:
        return
    longest, found = running.SMALL["MAX_ITEM_LIST_LENGTH"], Counter()
    dataset = run.parts.dataset
    for interaction, *_ in loader:
        lists = interaction[dataset.iid_field + "_list"].tolist()
        targets = interaction[dataset.iid_field].tolist()
        for user, history, target in zip(interaction[dataset.uid_field].tolist(), lists, targets):
            found[run.user(user), tuple(run.token(item) for item in history if item), run.token(target)] += 1
    wanted = Counter((each.user, each.history[-longest:], *each.right) for each in questions)
    assert found == wanted, f"histories of {phase}: {_differ(found, wanted)}"


# Evaluation ----------------------------------------------------------------------------------------------------


def _check_evaluation(run: running.Run, case: Case, phase: str, questions, popularity) -> None:
    result = run.result["best_valid_result" if phase == "valid" else "test_result"]
    if not questions:
        assert not result, f"{phase} has no rows, and a result: {result}"
        return
    lists = run.lists[phase]
    known = {}
    for question in questions:
        known.setdefault((question.user, *(question.right if case.is_sequential else [])), []).append(question)
    data = run.parts.valid_data if phase == "valid" else run.parts.test_data
    all_scores = running.scores(run, data)
    assert len(lists) == len(questions) == len(all_scores), f"{phase}: {len(lists)} rows; expected {len(questions)}"
    rankings, right = [], []
    for listed, scores in zip(lists, all_scores):
        key = (listed.user, *([listed.target] if case.is_sequential else []))
        question = known[key].pop(0)
        items = [run.token(item) for item in listed.items if item]
        assert listed.items[: len(items)] == [item for item in listed.items if item], (
            f"an empty place before items: {key}"
        )
        removed = question.history if case.remove_seen else ()
        problem = ranking.problem_of_list(items, scores, removed, case.topk, TOLERANCE)
        assert problem is None, f"{phase}, user {listed.user!r}, target {sorted(question.right)}: {problem}"
        assert {run.token(item) for item in listed.right} == question.right, f"{phase}: right items of {key}"
        rankings.append(items)
        right.append(question.right)
    expected = metrics.evaluate(rankings, right, popularity, sorted({1, case.topk}), running.TAIL)
    wrong = {
        name: (result[name], value)
        for name, value in expected.items()
        if not abs(result[name] - value) <= 1e-9 * max(1, abs(value))
    }
    assert not wrong, f"metrics of {phase} (found, expected): {wrong}; lists {rankings}, right {right}, {popularity}"


def _check_said(said: dict, rows, questions) -> None:
    """Numbers of users, lists, right items, repeats among them, and users left out."""
    users = {question.user for question in questions}
    repeats = [item for question in questions for item in question.right if item in question.history]
    expected = {
        "users": len(users),
        "rows": len(questions),
        "targets": sum(len(question.right) for question in questions),
        "repeats": len(repeats),
    }
    found = {name: said[name] for name in expected}
    assert found == expected, f"said {found}; expected {expected}"
    left_out = len({row.user for row in rows} - users)
    assert sum(said["left_out"].values()) == left_out, f"said {said['left_out']}; expected {left_out} users left out"


def _check_counts_of_pop(run: running.Run, popularity) -> None:
    found = {run.token(item): int(count) for item, count in enumerate(run.parts.model.item_cnt.flatten()) if item}
    assert found == popularity, f"Pop counts {found}; expected {popularity}"


# Recommendations -----------------------------------------------------------------------------------------------


def _check_recommend(run: running.Run, case: Case, rows, parts, folder: Path) -> None:
    """``recommend`` and, for one test row a user, ``recommend_users`` give the lists of the test."""
    questions = {}
    for question in seen.of_sequences(rows, parts.test):
        questions.setdefault((question.user, *question.right), []).append(question)
    lists = run.lists["test"]
    asked = [questions[listed.user, listed.target].pop(0) for listed in lists]
    recommender = recbole_sigma.load(run.result["checkpoint"], device="cpu")
    options = {"k": case.topk, "keep_seen": not case.remove_seen}
    found = recommender.recommend([each.history for each in asked], users=[each.user for each in asked], **options)
    for question, listed, one in zip(asked, lists, found):
        evaluated = [run.token(item) for item in listed.items if item]
        assert one.items == evaluated, f"recommend gives {one.items} for {question}; evaluated {evaluated}"
        assert not one.unknown and not one.by_popularity, f"{one} for {question}"
    if len({each.user for each in asked}) == len(asked):
        held_out = {row.line for row in parts.test}
        path = folder / "before.inter"
        files.write_atomic([row for row in rows if row.line not in held_out], path)
        of_user = {user: one.items for user, one in recommender.recommend_users(path, **options)}
        scores = {question.user: one for question, one in zip(asked, found)}
        for user, one in scores.items():
            assert of_user[user] == one.items, f"recommend_users gives {of_user[user]} for {user!r}; evaluated {one}"
