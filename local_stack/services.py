"""Our own services, and Envoy in front of them."""

import os
import sys

import httpx

from gateway.configure import Ports, render
from gateway.descriptor import descriptor_set
from local_stack import kafka, mongodb
from local_stack.part import Part, accepts_connections
from local_stack.settings import HOST, ROOT, StackSettings
from service_runtime.health_probe import is_serving

# What the user has there may be handlers.
PYTHON_PATH = {
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "gen"), os.environ.get("PYTHONPATH", "")])
}


def api_server(settings: StackSettings, number: int) -> Part:
    port = settings.api_server_port + number - 1
    return Part(
        name="api_server",
        number=number,
        command=(sys.executable, "-m", "api_server"),
        ports={"STACK_API_SERVER_PORT": port},
        is_ready=lambda: is_serving(f"{HOST}:{port}"),
        environment={
            **PYTHON_PATH,
            "API_SERVER_HOST": HOST,
            "API_SERVER_PORT": str(port),
            "MONGODB_URI": mongodb.uri(settings),
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers(settings),
        },
    )


def worker(settings: StackSettings, number: int) -> Part:
    port = settings.worker_port + number - 1
    api_servers = _addresses(settings.api_server_port, settings.api_servers)
    return Part(
        name="worker",
        number=number,
        command=(sys.executable, "-m", "worker_service"),
        ports={"STACK_WORKER_PORT": port},
        is_ready=lambda: is_serving(f"{HOST}:{port}"),
        environment={
            **PYTHON_PATH,
            "WORKER_NAME": f"worker-{number}",
            "WORKER_HOST": HOST,
            "WORKER_PORT": str(port),
            "WORKER_FILE_ROOT": str(settings.file_root),
            "API_SERVER_ADDRESS": ",".join(f"{host}:{port}" for host, port in api_servers),
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers(settings),
        },
    )


def gateway(settings: StackSettings) -> Part:
    config = settings.data_dir / "envoy.yaml"
    descriptor = settings.data_dir / "jobs.binpb"

    def prepare() -> None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        descriptor.write_bytes(descriptor_set())
        config.write_text(
            render(
                Ports(settings.jobs_port, settings.workers_port, settings.envoy_admin_port),
                api_servers=_addresses(settings.api_server_port, settings.api_servers),
                workers=_addresses(settings.worker_port, settings.workers),
                descriptor_path=descriptor,
                cors_origins=settings.cors_origins,
            )
        )

    return Part(
        name="gateway",
        number=1,
        command=("envoy", "-c", str(config), "--disable-hot-restart", "--concurrency", "2"),
        ports={
            "STACK_JOBS_PORT": settings.jobs_port,
            "STACK_WORKERS_PORT": settings.workers_port,
            "STACK_ENVOY_ADMIN_PORT": settings.envoy_admin_port,
        },
        prepare=prepare,
        is_ready=lambda: (
            _is_live(settings.envoy_admin_port)
            and accepts_connections(settings.jobs_port)
            and accepts_connections(settings.workers_port)
        ),
    )


def _addresses(first_port: int, count: int) -> list[tuple[str, int]]:
    return [(HOST, first_port + number) for number in range(max(count, 1))]


def _is_live(admin_port: int) -> bool:
    try:
        return httpx.get(f"http://{HOST}:{admin_port}/ready", timeout=1, trust_env=False).is_success
    except httpx.HTTPError:
        return False
