"""The reference on examples small enough to be worked out by hand."""

from math import log, log2

import pytest

from tests.reference import filters, metrics, ranking, seen, split, tables
from tests.reference.tables import Row


def rows_of(text):
    """Rows such as ``a x 1``, one after another."""
    return [
        Row(line, user, item, float(time)) for line, (user, item, time) in enumerate(map(str.split, text.split(",")))
    ]


def short(rows):
    return " ".join(row.user + row.item for row in rows)


def test_a_quoted_field_may_hold_quotes_separators_and_line_ends():
    assert tables.fields('a,"b ""c"", d\ne",\n\nf"g,,"h"\n', ",") == [["a", 'b "c", d\ne', ""], ['f"g', "", "h"]]


def test_dates_are_seconds_in_utc_or_their_own_zone():
    assert tables.seconds("1970-01-02") == 86_400
    assert tables.seconds("1970-01-01T02:00:00.5+02:00") == 0.5
    assert tables.seconds("1e3") == 1000


def test_duplicates_leave_the_first_or_last_in_time_and_ties_are_in_the_order_of_the_file():
    rows = rows_of("a x 2,a x 1,a y 5,a x 2")
    assert [row.line for row in filters.without_duplicates(rows, "first")] == [1, 2]
    assert [row.line for row in filters.without_duplicates(rows, "last")] == [2, 3]


def test_intervals_include_ends_in_square_brackets():
    assert [filters.is_within(number, "[2,4);(6,inf)") for number in (1, 2, 4, 6, 7)] == [
        False,
        True,
        False,
        False,
        True,
    ]


def test_counts_are_filtered_until_all_fit():
    """y goes with its one row, then b has one row left, then x has one, then a has none."""
    rows = rows_of("a x 1,b x 2,b y 3")
    assert filters.within_counts(rows, "[2,inf)", "[2,inf)") == []
    assert short(filters.within_counts(rows, None, "[2,inf)")) == "ax bx"


def test_leave_one_out_of_one_to_four_interactions():
    rows = rows_of("a x 9,b y 2,b x 1,c z 3,c y 2,c x 1,d w 4,d z 3,d y 2,d x 1")
    parts = split.leave_one_out(rows)
    assert (short(parts.train), short(parts.valid), short(parts.test)) == ("bx by cx cy dx dy ax", "dz", "cz dw")
    assert short(parts.targets) == "by cy dy"
    only = split.leave_one_out(rows, "valid_only")
    assert (short(only.valid), short(only.test)) == ("cz dw", "")


def test_equal_times_keep_the_order_of_the_file():
    assert short(split.in_time_order(rows_of("b y 1,a z 0,a x 1,b w 0"))) == "az bw by ax"


@pytest.mark.parametrize(
    "total, ratios, counts",
    [
        (10, [0.8, 0.1, 0.1], [8, 1, 1]),
        (3, [0.8, 0.1, 0.1], [1, 1, 1]),
        (2, [0.8, 0.1, 0.1], [1, 0, 1]),
        (1, [0.8, 0.1, 0.1], [1, 0, 0]),
        (19, [8, 1, 1], [17, 1, 1]),
        (30, [0.7, 0.2, 0.1], [21, 6, 3]),
        (3, [0.5, 0, 0.5], [2, 0, 1]),
    ],
)
def test_sizes_of_parts(total, ratios, counts):
    assert split.sizes(total, ratios) == counts


def test_ratios_of_all_rows_or_of_each_user():
    rows = rows_of("a x 1,a y 2,a z 6,b x 3,b y 4,b z 5")
    together = split.by_ratio(rows, [0.5, 0, 0.5], each_user=False, sequential=False)
    assert (short(together.train), short(together.test)) == ("ax ay bx", "by bz az")
    each = split.by_ratio(rows, [0.4, 0.3, 0.3], each_user=True, sequential=False)
    assert (short(each.train), short(each.valid), short(each.test)) == ("ax bx", "ay by", "bz az")
    sequential = split.by_ratio(rows, [0.5, 0, 0.5], each_user=False, sequential=True)
    assert (short(sequential.train), short(sequential.targets), short(sequential.test)) == (
        "ax ay bx by",
        "ay by",
        "bz az",
    )


def test_what_was_seen_before_is_counted_by_time_and_by_user():
    rows = rows_of("a x 1,a y 2,a x 3,b x 1,b y 2,b z 3,b w 4")
    parts = split.leave_one_out(rows)
    assert seen.of_sequences(rows, parts.test) == [
        ("a", ("x", "y"), {"x"}),
        ("b", ("x", "y", "z"), {"w"}),
    ]
    assert seen.of_users(parts, "valid") == [("b", ("x", "y"), {"z"})]
    assert seen.share_of_repeats(seen.of_users(parts, "test")) == 0.5


def test_lists_are_the_best_of_what_is_left():
    scores = {"x": 3.0, "y": 2.0, "z": 2.0, "w": 1.0}
    assert ranking.problem_of_list(["x", "z"], scores, (), 2, 0) is None
    assert ranking.problem_of_list(["z", "y", "w"], scores, {"x"}, 9, 0) is None
    assert "w" in ranking.problem_of_list(["x", "w"], scores, (), 2, 0)
    assert "had it before" in ranking.problem_of_list(["x"], scores, {"x"}, 1, 0)
    assert "expected 2" in ranking.problem_of_list(["x"], scores, {"w", "z"}, 2, 0)
    assert "twice" in ranking.problem_of_list(["x", "x"], scores, (), 2, 0)


def test_metrics_of_two_lists():
    """The first list has its two right items in places 1 and 3, the second, of two places, none."""
    lists, right = [["x", "y", "z"], ["y", "x"]], [{"x", "z"}, {"w"}]
    found = metrics.evaluate(lists, right, {"x": 5, "y": 1, "z": 0, "w": 0}, [3], tail=1)
    ideal = 1 + 1 / log2(3)
    expected = {
        "recall@3": 0.5,
        "hit@3": 0.5,
        "precision@3": (2 / 3) / 2,
        "mrr@3": 0.5,
        "map@3": (1 + 2 / 3) / 2 / 2,
        "ndcg@3": (1 + 1 / 2) / ideal / 2,
        "itemcoverage@3": 3 / 4,
        "shannonentropy@3": -(0.4 * log(0.4) * 2 + 0.2 * log(0.2)),
        "giniindex@3": (-3 * 0 - 1 * 1 + 1 * 2 + 3 * 2) / (4 * 5),
        "averagepopularity@3": (6 / 3 + 6 / 2) / 2,
        "tailpercentage@3": (2 / 3 + 1 / 2) / 2,
    }
    assert found == pytest.approx(expected)
