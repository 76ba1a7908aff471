"""Writes the files that docs/howto/handlers-with-packages.md shows, so that real containers use them.

python -m deploy.handlers_of_the_page FOLDER

Of the page's two overrides, one mounts a module and one builds an image. They become one file here.
"""

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/howto/handlers-with-packages.md"
MOUNTED = ROOT / "deploy/nap_handlers.py"


def main(folder: Path) -> None:
    text = PAGE.read_text()
    handlers = folder / "my-handlers"
    handlers.mkdir()
    (handlers / "thumbnails.py").write_text(block(text, "python"))
    (handlers / "Dockerfile").write_text(block(text, "dockerfile"))
    mounting, building = (yaml.safe_load(each)["services"]["worker-service"] for each in blocks(text, "yaml"))
    # Relative paths would start at the folder of docker-compose.yml.
    building["build"]["context"] = str(folder / building["build"]["context"])
    [volume] = mounting["volumes"]
    building["volumes"] = [
        volume.replace("./word_handlers", f"{MOUNTED.parent}/{MOUNTED.stem}").replace(
            "word_handlers", MOUNTED.stem
        )
    ]
    override = {"services": {"worker-service": building}}
    (folder / "docker-compose.override.yml").write_text(yaml.safe_dump(override))


def block(text: str, language: str) -> str:
    [only] = blocks(text, language)
    return only


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
