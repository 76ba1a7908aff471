"""The routes of the page at /api, which shows the API document. The API servers serve the document."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.static_files import routes_of_file

Json = dict[str, Any]
PAGE = Path(__file__).parent / "api_page"
POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    # RapiDoc writes styles into its elements.
    "style-src 'self' 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def routes() -> Iterator[Json]:
    """The routes for the jobs listener."""
    for url in ("/api", "/api/"):
        yield from routes_of_file({"path": url}, PAGE / "index.html", HEADERS)
    for path in _files_of_the_page():
        yield from routes_of_file({"path": f"/api/{path.name}"}, path, HEADERS)


def largest_file() -> int:
    """The size in bytes of the largest body of a route."""
    return max(path.stat().st_size for path in _files_of_the_page())


def _files_of_the_page() -> list[Path]:
    return sorted(path for path in PAGE.iterdir() if path.is_file())
