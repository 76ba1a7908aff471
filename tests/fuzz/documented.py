"""The errors in docs/reference/errors.md. Other errors must not occur."""

import re
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs/reference/errors.md"
_ROW = re.compile(r"\| [A-Z_]+ \((?P<code>\d+)\) \| (?P<http>\d+) \| (?P<reason>[^|]*)\|")


class Documented(NamedTuple):
    """One row of the page's first table: the number of the gRPC code, the HTTP status, and the reason."""

    code: int
    http: int
    reason: str


DOCUMENTED = tuple(
    Documented(int(row["code"]), int(row["http"]), row["reason"].strip().strip("`"))
    for row in _ROW.finditer(PAGE.read_text())
    # No input may cause errors of 500 and above.
    if int(row["http"]) < 500
)
GATEWAY = {(400, 3), (404, 5), (405, 12), (413, 3), (415, 3), (431, 3)}
"""HTTP status and code of the gateway's own errors, which have no details."""
