"""Checks envoy.yaml: against the contract, and with Envoy, as containers and as the local stack use it."""

import subprocess
import sys
import tempfile
from pathlib import Path

from gateway.configure import BASE_FILE, Ports, render, render_for_containers
from gateway.descriptor import descriptor_set
from gateway.routes import disagreements
from gateway.web_pages import Callers

CONTAINER_DESCRIPTOR = "/etc/envoy/jobs.binpb"
PORTS = Ports(jobs=3000, workers=4000)
CALLERS = Callers(["https://example.org"], ["jobs.example.org", "*.jobs.svc.cluster.local"])
PROCESSES = {"api_server": 2, "worker_service": 2}


def main() -> int:
    """Exit status 1 if the file differs from the contract, or if Envoy rejects it."""
    if found := disagreements(BASE_FILE.read_text(encoding="utf-8")):
        sys.stderr.writelines(f"{BASE_FILE.name}: {each}\n" for each in found)
        return 1
    with tempfile.TemporaryDirectory() as directory:
        descriptor = Path(directory) / "jobs.binpb"
        descriptor.write_bytes(descriptor_set())
        local = render(PORTS, [("127.0.0.1", 50051)], [("127.0.0.1", 50151)], descriptor, CALLERS)
        containers = [BASE_FILE.read_text(), render_for_containers(CALLERS, PROCESSES)]
        for text in [local, *(text.replace(CONTAINER_DESCRIPTOR, str(descriptor)) for text in containers)]:
            config = Path(directory) / "envoy.yaml"
            config.write_text(text)
            command = ["envoy", "--mode", "validate", "-c", str(config), "--log-level", "warning"]
            if subprocess.run(command, check=False).returncode != 0:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
