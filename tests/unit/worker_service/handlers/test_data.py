"""Tests `data` with published statistics: NIST's certified values, and R's summary of Anscombe's quartet."""

import csv
import io
import itertools
import math
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_runtime.structs import dict_to_struct
from worker_service import InputError, Job
from worker_service.handlers.data import data, quartiles

# NIST Statistical Reference Datasets, https://www.itl.nist.gov/div898/strd/univ/data/Michelso.dat
MICHELSON = """
299.85 299.74 299.90 300.07 299.93 299.85 299.95 299.98 299.98 299.88 300.00 299.98 299.93 299.65 299.76
299.81 300.00 300.00 299.96 299.96 299.96 299.94 299.96 299.94 299.88 299.80 299.85 299.88 299.90 299.84
299.83 299.79 299.81 299.88 299.88 299.83 299.80 299.79 299.76 299.80 299.88 299.88 299.88 299.86 299.72
299.72 299.62 299.86 299.97 299.95 299.88 299.91 299.85 299.87 299.84 299.84 299.85 299.84 299.84 299.84
299.89 299.81 299.81 299.82 299.80 299.77 299.76 299.74 299.75 299.76 299.91 299.92 299.89 299.86 299.88
299.72 299.84 299.85 299.85 299.78 299.89 299.84 299.78 299.81 299.76 299.81 299.79 299.81 299.82 299.85
299.87 299.87 299.81 299.74 299.81 299.94 299.95 299.80 299.81 299.87
""".split()  # noqa: SIM905 - in the order in which NIST prints it

# F. J. Anscombe, Graphs in Statistical Analysis, 1973; the summaries are those of R's summary(anscombe) and
# sd.
ANSCOMBE = """x1,x4,y1,y2,y3,y4
10,8,8.04,9.14,7.46,6.58
8,8,6.95,8.14,6.77,5.76
13,8,7.58,8.74,12.74,7.71
9,8,8.81,8.77,7.11,8.84
11,8,8.33,9.26,7.81,8.47
14,8,9.96,8.10,8.84,7.04
6,8,7.24,6.13,6.08,5.25
4,19,4.26,3.10,5.39,12.50
12,8,10.84,9.13,8.15,5.56
7,8,4.82,7.26,6.42,7.91
5,8,5.68,4.74,5.73,6.89
"""
ANSCOMBE_SUMMARY = {
    # min, first quartile, median, third quartile, max, mean, standard deviation
    "x1": (4, 6.5, 9, 11.5, 14, 9, 3.316625),
    "x4": (8, 8, 8, 8, 19, 9, 3.316625),
    "y1": (4.26, 6.315, 7.58, 8.57, 10.84, 7.500909, 2.031568),
    "y2": (3.1, 6.695, 8.14, 8.95, 9.26, 7.500909, 2.031657),
    "y3": (5.39, 6.25, 7.11, 7.98, 12.74, 7.5, 2.030424),
    "y4": (5.25, 6.17, 7.04, 8.19, 12.5, 7.500909, 2.030579),
}


def run(**payload: Any) -> dict[str, Any]:
    result = data(Job("0", "data", 1, payload))
    dict_to_struct(result)
    return result


def column_of(values: list[Any]) -> dict[str, Any]:
    described: dict[str, Any] = run(records=[{"x": value} for value in values])["columns"]["x"]
    return described


def around(middle: str, below: str, above: str) -> list[str]:
    """NIST's NumAcc2, 3 and 4: a value, then its two neighbours alternately, 1001 values in all."""
    return [middle, *[below, above] * 500]


@pytest.mark.parametrize(
    ("texts", "mean", "deviation", "digits"),
    [
        # Digits: how many of the certified ones survive the rounding of the data to doubles.
        (MICHELSON, 299.8524, 0.0790105478190518, 13),
        (["10000001", "10000003", "10000002"], 10000002, 1, 15),  # NumAcc1
        (around("1.2", "1.1", "1.3"), 1.2, 0.1, 14),  # NumAcc2
        (around("1000000.2", "1000000.1", "1000000.3"), 1000000.2, 0.1, 9),  # NumAcc3
        (around("10000000.2", "10000000.1", "10000000.3"), 10000000.2, 0.1, 8),  # NumAcc4
    ],
)
def test_mean_and_deviation_equal_nist_s_certified_values(
    texts: list[str], mean: float, deviation: float, digits: int
) -> None:
    from_csv = run(csv="\n".join(["x", *texts]))["columns"]["x"]
    assert from_csv == column_of([float(text) for text in texts])
    assert from_csv["count"] == len(texts)
    assert from_csv["mean"] == pytest.approx(mean, rel=1e-15)
    assert from_csv["standard_deviation"] == pytest.approx(deviation, rel=10**-digits)


@pytest.mark.parametrize("name", ANSCOMBE_SUMMARY)
def test_anscombe_s_columns_are_summarized_as_r_does(name: str) -> None:
    column = run(csv=ANSCOMBE)["columns"][name]
    low, *quartile, high, mean, deviation = ANSCOMBE_SUMMARY[name]
    assert (column["count"], column["missing"], column["min"], column["max"]) == (11, 0, low, high)
    assert column["quartiles"] == pytest.approx(quartile, rel=1e-12)
    assert column["mean"] == pytest.approx(mean, abs=5e-7)
    assert column["standard_deviation"] == pytest.approx(deviation, abs=5e-7)


FLOATS = st.lists(st.floats(-1e100, 1e100), min_size=1)


@given(FLOATS)
def test_all_figures_lie_within_their_bounds(values: list[float]) -> None:
    column = column_of(values)
    ladder = [column["min"], *column["quartiles"], column["max"]]
    assert ladder[0] == min(values)
    assert ladder[-1] == max(values)
    for lower, upper in itertools.pairwise(ladder):
        assert lower <= upper or math.isclose(lower, upper)
    assert column["min"] <= column["mean"] <= column["max"]
    deviation = column["standard_deviation"]
    assert deviation is None if len(values) == 1 else 0 <= deviation <= 2e100


@given(st.lists(st.floats(-1e9, 1e9), min_size=2))
def test_quartiles_equal_those_of_the_standard_library(values: list[float]) -> None:
    expected = statistics.quantiles(values, n=4, method="inclusive")
    assert quartiles(values) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(
    st.lists(
        st.fixed_dictionaries({"g": st.sampled_from("ab"), "x": st.integers(-9, 9) | st.none()}), min_size=1
    )
)
def test_a_group_is_summarized_as_if_it_were_alone(records: list[dict[str, Any]]) -> None:
    groups = run(records=records, group_by="g")["groups"]
    assert list(groups) == list(dict.fromkeys(record["g"] for record in records))
    for name, summary in groups.items():
        alone = run(records=[{"x": record["x"]} for record in records if record["g"] == name])
        assert summary == alone


CELLS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6
) | st.sampled_from(["1", " -2.5e3 ", "", 'a"b', "x,y", "new\nline"])


@pytest.mark.parametrize("space", [" ", "\t", "\x1f", "\u00a0", "\u2028"])
def test_any_space_around_a_number_is_ignored(space: str) -> None:
    assert run(csv=f"n\n{space}1{space}\n3")["columns"]["n"]["mean"] == 2


@given(st.lists(st.tuples(CELLS, CELLS), max_size=8))
def test_csv_of_any_cells_is_counted_in_full(rows: list[tuple[str, str]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([("first", "second"), *rows])
    result = run(csv=text.getvalue())
    assert result["rows"] == len(rows)
    for index, name in enumerate(("first", "second")):
        assert result["columns"][name]["count"] == sum(bool(row[index].strip()) for row in rows)
        assert result["columns"][name]["count"] + result["columns"][name]["missing"] == len(rows)


def test_null_and_absent_are_missing_and_only_all_numbers_make_a_number_column() -> None:
    result = run(records=[{"a": 1, "b": "x", "c": 1}, {"a": None, "b": 2, "c": True}, {"d": {"e": 1}}])
    assert result["rows"] == 3
    assert list(result["columns"]) == ["a", "b", "c", "d"]
    one = {"min": 1.0, "max": 1.0, "mean": 1.0, "standard_deviation": None, "quartiles": [1.0, 1.0, 1.0]}
    assert result["columns"] == {
        "a": {"count": 1, "missing": 2, **one},
        "b": {"count": 2, "missing": 1},
        "c": {"count": 2, "missing": 1},
        "d": {"count": 1, "missing": 2},
    }


@pytest.mark.parametrize(
    "text",
    ["nan", "inf", "-Infinity", "1_000", "0x10", "1e999", "\u0661", "1 2", "--1", ".", "e5", "true"],
)
def test_a_csv_value_that_is_not_a_number_makes_its_column_text(text: str) -> None:
    assert run(csv=f"x\n1\n{text}\n")["columns"]["x"] == {"count": 2, "missing": 0}


@pytest.mark.parametrize(
    ("text", "number"), [("+1", 1), ("-.5", -0.5), ("2.", 2), (" 1e-3 ", 0.001), ("007", 7)]
)
def test_numbers_in_csv_may_have_sign_point_and_exponent(text: str, number: float) -> None:
    assert run(csv=f"x\r\n{text}\r\n")["columns"]["x"]["mean"] == number


def test_csv_may_have_quotes_blank_lines_and_a_byte_order_mark() -> None:
    result = run(csv='\ufeffname,"a, b"\r\n\r\n"say ""hi""\nthere",1\r\n,2\r\n')
    assert result["rows"] == 2
    assert result["columns"]["name"] == {"count": 1, "missing": 1}
    assert result["columns"]["a, b"]["mean"] == 1.5


def test_csv_with_a_header_alone_has_no_rows() -> None:
    assert run(csv="a,b\n") == {"rows": 0, "columns": {name: {"count": 0, "missing": 0} for name in "ab"}}


def test_groups_are_named_by_text_and_rows_without_a_group_are_ungrouped() -> None:
    records = [
        {"g": 3, "x": 1},
        {"g": "3", "x": 2},
        {"g": True},
        {"g": 2.5},
        {"g": ""},
        {"g": None, "x": 7},
        {"x": 9},
    ]
    result = run(records=records, group_by="g")
    assert {name: group["rows"] for name, group in result["groups"].items()} == {
        "3": 2,
        "true": 1,
        "2.5": 1,
        "": 1,
    }
    assert result["groups"]["3"]["columns"]["x"]["mean"] == 1.5
    assert (result["rows"], result["ungrouped"]["rows"], result["ungrouped"]["columns"]["x"]["mean"]) == (
        7,
        2,
        8,
    )
    assert "ungrouped" not in run(csv="g,x\n01,1\n1,2\n", group_by="g")
    assert list(run(csv="g,x\n01,1\n1,2\n", group_by="g")["groups"]) == ["01", "1"]


def test_huge_numbers_are_summarized_without_overflow() -> None:
    column = column_of([1.7e308, 1.7e308, 1.6e308])
    assert column["mean"] == pytest.approx(5 / 3 * 1e308, rel=1e-15)
    assert column["quartiles"] == pytest.approx([1.65e308, 1.7e308, 1.7e308])


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({}, "records or csv: exactly one must be given, not 0"),
        ({"records": [{}], "csv": "a"}, "records or csv: exactly one must be given, not 2"),
        ({"records": {}}, "records: must be a list, is an object"),
        ({"records": []}, "records: must have at least one item"),
        ({"records": [{}, 5]}, "records[1]: must be an object, is a number"),
        ({"csv": []}, "csv: must be a string, is a list"),
        ({"csv": ""}, "csv: must have a header line"),
        ({"csv": "a,b\n1,2\n\n1\n"}, "csv: line 4: must have 2 fields, as the header, has 1"),
        ({"csv": "a,a\n"}, "csv: header: column names must differ, 'a' appears 2 times"),
        ({"csv": "a, \n"}, "csv: header: column 2 must have a name without NUL, has ' '"),
        ({"csv": 'a\n"open\n'}, "csv: line 2: unexpected end of data"),
        ({"csv": 'a\n"x"y\n'}, "csv: line 2: ',' expected after '\"'"),
        ({"csv": "a\n1", "group_by": "b"}, "group_by: must be a column, is 'b'"),
        ({"csv": "a\n1", "group_by": 1}, "group_by: must be a string, is a number"),
        (
            {"records": [{"a": 1}, {"a": []}], "group_by": "a"},
            "group_by: row 2: a must be a string without NUL, a number, true or false, is a list",
        ),
        (
            {"records": [{"x": 1.7e308}, {"x": -1.7e308}]},
            "records: column 'x': its standard deviation is above the largest number",
        ),
        (
            {"records": [{"a": i, **{str(j): 0 for j in range(101)}} for i in range(100)], "group_by": "a"},
            "group_by: 100 groups of 101 columns; together at most 10000 can be summarized",
        ),
        (
            {"records": [{str(i): 0} for i in range(10_001)]},
            "records: must have at most 10000 columns, has 10001",
        ),
    ],
)
def test_wrong_input_names_the_field_and_the_rule(payload: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        run(**payload)
    assert str(caught.value) == message
