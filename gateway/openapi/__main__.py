"""Writes the document, gen/openapi.json.

python -m gateway.openapi           write it
python -m gateway.openapi verify    exit status 1 if it differs from the contract
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway.openapi.document import document

ROOT = Path(__file__).parents[2]
FILE = ROOT / "gen/openapi.json"
VERSION = "1"
"""The version of the contract, as in the package jobs.v1."""


def contract() -> FileDescriptorSet:
    """The contract with its comments, which the stubs do not have."""
    with tempfile.TemporaryDirectory() as directory:
        image = Path(directory) / "contract.binpb"
        subprocess.run([sys.executable, ROOT / "proto/generate.py", "image", image], check=True)
        return FileDescriptorSet.FromString(image.read_bytes())


def text_of(descriptors: FileDescriptorSet) -> str:
    return json.dumps(document(descriptors, VERSION), indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Exit status 2 for wrong arguments."""
    match arguments:
        case []:
            FILE.write_text(text_of(contract()), encoding="utf-8")
        case ["verify"]:
            if not FILE.is_file() or FILE.read_text(encoding="utf-8") != text_of(contract()):
                sys.stderr.write(
                    "gen/openapi.json is not what proto/ generates; run `python -m gateway.openapi`\n"
                )
                return 1
        case _:
            sys.stderr.write("usage: python -m gateway.openapi [verify]\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
