"""Text of jobs cannot change the terminal."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_runtime.safe_text import safe_block, safe_json, safe_line, shorten

ANY_TEXT = st.text(st.characters(exclude_categories=()))


def harmful(text: str) -> list[str]:
    categories = {"Cc", "Cs", "Zl", "Zp"}
    return [
        each
        for each in text
        if unicodedata.category(each) in categories
        or unicodedata.bidirectional(each) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    ]


@given(ANY_TEXT)
def test_a_line_has_no_harmful_character(text: str) -> None:
    assert harmful(safe_line(text)) == []


@given(ANY_TEXT)
def test_a_block_has_no_harmful_character_but_line_feeds(text: str) -> None:
    assert set(harmful(safe_block(text))) <= {"\n"}


@given(st.recursive(ANY_TEXT, lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner)))
def test_json_is_the_same_value_without_harmful_characters(value: object) -> None:
    for indent in (None, 2):
        text = safe_json(value, indent=indent)
        assert set(harmful(text)) <= {"\n"}
        assert json.loads(text) == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 漢字 🎉", "plain ü 漢字 🎉"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b2J", r"\x9b2J"),
        ("two\nlines", r"two\nlines"),
        ("a\tb", r"a\tb"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\U000e0041", r"\U000e0041"),
        ("\ud800", r"\ud800"),
    ],
)
def test_harmful_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    assert safe_line(text) == shown


def test_a_block_keeps_lines_and_expands_tabs() -> None:
    assert safe_block("a\tb\r\nc\rd") == "a   b\nc\\rd"


def test_long_text_is_cut() -> None:
    assert shorten("12345", 5) == "12345"
    assert shorten("123456", 5) == "1234…"
