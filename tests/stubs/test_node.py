"""The commands and the program for Node in docs/howto/generate-stubs.md do what the page says."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from contract_runtime.limits import JOB_SERVICE, WORKER_SERVICE
from contract_runtime.rest import has_rest
from gateway.descriptor import descriptor_set
from local_stack.stack import Stack
from tests.stubs.page import ADDRESS, BEGIN, commands, program
from tests.stubs.workplace import Workplace, cache, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("node") is None or shutil.which("npm") is None,
        reason="Node is missing: install Node.js 18 or newer, with npm",
    ),
]
PINS = Path(__file__).parent / "node"
"""package.json and package-lock.json. They are what the page's `npm install` makes of a package without
dependencies.
"""
INSTALL, *PROGRAMS = commands("Node")
LIST_METHODS = """
import { readFileSync } from "node:fs";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const contract = loader.loadFileDescriptorSetFromBuffer(readFileSync("gateway.binpb"));
const { v1 } = grpc.loadPackageDefinition(contract).jobs;
const found = {};
for (const [name, { service }] of [...Object.entries(v1), ...Object.entries(v1.rest)]) {
  if (service) found[name] = [...(found[name] ?? []), Object.keys(service)];
}
console.log(JSON.stringify(found));
"""


@pytest.fixture
def node(workplace: Workplace) -> Workplace:
    """A place with the page's packages, which are downloaded once."""
    files = sorted(PINS.iterdir())
    key = hashlib.sha256("".join([INSTALL.text, *(file.read_text() for file in files)]).encode())
    with cache("node") as folder:
        installed = folder / key.hexdigest()[:12]
        if not installed.exists():
            scratch = folder / "scratch"
            shutil.rmtree(scratch, ignore_errors=True)
            shutil.copytree(PINS, scratch)
            run(INSTALL.text, scratch, npm_settings(scratch / "npm"))
            for file in files:
                message = f"{file} does not pin what the page says"
                assert (scratch / file.name).read_text() == file.read_text(), message
            shutil.rmtree(scratch / "npm")
            scratch.rename(installed)
    (workplace.folder / "node_modules").symlink_to(installed / "node_modules")
    return workplace


def npm_settings(folder: Path) -> dict[str, str]:
    """The settings with which npm keeps its files in `folder` and runs no program of a package."""
    return {
        "npm_config_cache": str(folder),
        "npm_config_ignore_scripts": "true",
        "npm_config_omit_lockfile_registry_resolved": "true",
        "npm_config_fetch_timeout": "60000",
    }


def test_the_program_for_node_prints_the_output_on_the_page(node: Workplace, stack: Stack) -> None:
    for command in commands(BEGIN):
        node.run(command.text)
    (node.folder / "client.mjs").write_text(
        program("Node", "js").replace(ADDRESS, stack.endpoints.jobs_address)
    )
    assert PROGRAMS
    for command in PROGRAMS:
        assert node.run(command.text) == command.output


def test_the_loader_reads_the_descriptor_set_of_the_gateway(node: Workplace) -> None:
    (node.folder / "gateway.binpb").write_bytes(descriptor_set())
    (node.folder / "methods.mjs").write_text(LIST_METHODS)

    found = json.loads(node.run("node methods.mjs"))

    for service in (JOB_SERVICE, WORKER_SERVICE):
        assert found[service.name] == [
            [method.name for method in service.methods],
            [method.name for method in service.methods if has_rest(method)],
        ]
