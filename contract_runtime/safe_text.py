"""Makes text harmless for a terminal. Pure.

Payloads, messages and log lines come from anybody. Control characters could move the cursor, change the
window's title or hide text; characters that change the direction of text could show it in another order.
"""

import json
import re
from typing import Any

_HARMFUL = (
    "\x00-\x09\x0b-\x1f\x7f-\x9f"  # control characters, without the line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction of text
    "\u2028\u2029"  # ends of lines
    "\ud800-\udfff"  # halves of characters, which cannot be encoded
    "\U000e0000-\U000e007f"  # invisible copies of ASCII
)
_IN_BLOCK = re.compile(f"[{_HARMFUL}]")
_IN_LINE = re.compile(f"[\n{_HARMFUL}]")


def safe_line(text: str) -> str:
    r"""The text on one line. Harmful characters and line feeds are shown as escapes, such as \x1b and \n."""
    return _IN_LINE.sub(_escape, text)


def safe_block(text: str) -> str:
    """The text with its line feeds. Tabs become spaces; other harmful characters are shown as escapes."""
    return _IN_BLOCK.sub(_escape, text.replace("\r\n", "\n").expandtabs(4))


def safe_json(value: Any, *, indent: int | None = None) -> str:
    r"""JSON in which harmful characters are escaped, such as \u001b. It is still the same JSON value."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _IN_BLOCK.sub(lambda found: json.dumps(found[0])[1:-1], text)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
