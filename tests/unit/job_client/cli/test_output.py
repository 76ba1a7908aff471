"""Tables and lines at a terminal and elsewhere."""

import io

import pytest

from job_client.cli.output import RED, Cell, Format, Output, Styled
from tests.jobctl import Terminal
from tests.unit.job_client.cli.fake_client import HOSTILE, make_job

ROWS: list[tuple[Cell, ...]] = [
    ("one", Styled("bad", RED, "plain"), "x" * 300),
    ("[red]two[/red]", HOSTILE, ""),
]


@pytest.fixture(autouse=True)
def _width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def table(stream: io.StringIO) -> str:
    Output(Format.table, stream, stream).table(("A", "B", "C"), ROWS)
    return stream.getvalue()


def test_elsewhere_a_table_has_tabs_and_no_header_and_is_not_cut() -> None:
    first, second = table(io.StringIO()).splitlines()
    assert first == f"one\tplain\t{'x' * 300}"
    assert second.startswith("[red]two[/red]\t\\x1b[31mred")
    assert "\x1b" not in first + second


def test_at_a_terminal_it_has_headers_and_colours_and_fits() -> None:
    header, first, second = table(Terminal()).splitlines()
    assert "A" in header
    assert "\x1b[31mbad" in first
    assert first.rstrip().endswith("…")
    assert "[red]two[/red]" in second
    assert r"\x1b[31mred" in second
    for line in (header, first, second):
        assert len(line.replace("\x1b[31m", "").replace("\x1b[0m", "").replace("\x1b[2m", "")) <= 80


def test_no_colour_is_shown_to_who_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in table(Terminal())


@pytest.mark.parametrize("terminal", [False, True])
def test_hostile_text_never_reaches_the_terminal(terminal: bool) -> None:
    stream = Terminal() if terminal else io.StringIO()
    output = Output(Format.table, stream, stream)
    output.line("a ", HOSTILE)
    output.table((), [(HOSTILE, "b")])
    output.say(HOSTILE)
    output.note(HOSTILE)
    output.done(HOSTILE)
    output.trace(HOSTILE)
    output.value({HOSTILE: HOSTILE})
    with output.bar(HOSTILE, None) as bar:
        bar.show(1, HOSTILE)
        output.say(HOSTILE)
    assert not {"\x9b", "\u202e", "\x07"} & set(stream.getvalue())
    assert "\x1b[31mred" not in stream.getvalue()
    assert "[bold]" in stream.getvalue()


def test_json_is_an_array_and_ndjson_a_line_each() -> None:
    for form, expected in ((Format.json, "[\n"), (Format.ndjson, '{"id": ')):
        stream = io.StringIO()
        assert Output(form, stream).values(("A",), [make_job(), make_job()], lambda job: (job.id,)) == 2
        assert stream.getvalue().startswith(expected)
    assert len(stream.getvalue().splitlines()) == 2
