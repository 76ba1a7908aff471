"""Writes figures as JSON. Apart from `store`, which needs the packages that draw."""

import json
from pathlib import Path
from typing import Any


def save_json(data: Any, file: Path) -> None:
    file.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
