"""Writes the results: all figures as JSON, the tables as Markdown, the main figures as a picture."""

from dataclasses import asdict
from pathlib import Path

from bench.json_file import save_json
from bench.plot import rates_figure, save_svg
from bench.report import report
from bench.results import Results
from bench.targets import verdicts


def store(results: Results, folder: Path) -> list[Path]:
    """Write results.json, results.md and results.svg. Returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    as_json, as_text, as_picture = (folder / f"results.{kind}" for kind in ("json", "md", "svg"))
    found = [{**asdict(each), "met": each.met} for each in verdicts(results)]
    save_json({**asdict(results), "targets": found}, as_json)
    as_text.write_text(report(results) + "\n")
    save_svg(rates_figure(results.rounds), as_picture)
    return [as_json, as_text, as_picture]
