"""The API server, the worker, and Envoy as their gateway."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
from pydantic_settings import BaseSettings

from api_server.settings import ApiServerSettings
from gateway.configure import BASE_FILE, Ports, render
from gateway.descriptor import descriptor_set
from gateway.web_pages import Callers
from local_stack import kafka, mongodb
from local_stack.part import Part
from local_stack.settings import HOST, ROOT, StackSettings
from service_runtime.health_probe import all_are_serving
from worker_service.settings import WorkerSettings

MAX_SOCKET_PATH = 100
"""Bytes that the path of a Unix socket has on every system."""
# The user's PYTHONPATH is kept, because it may lead to handlers.
PYTHON_PATH = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def api_server(settings: StackSettings, number: int) -> Part:
    ports = settings.api_server_ports(number)
    return Part(
        name="api_server",
        number=number,
        command=(sys.executable, "-m", "api_server"),
        ports=_named("STACK_API_SERVER_PORT", settings.api_server_port, ports),
        is_ready=lambda: all_are_serving(f"{HOST}:{ports[0]}", len(ports)),
        environment={
            **PYTHON_PATH,
            "API_SERVER_HOST": HOST,
            "API_SERVER_PORT": str(ports[0]),
            "API_SERVER_PROCESSES": str(len(ports)),
            "MONGODB_URI": mongodb.uri(settings),
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers(settings),
            **_shutdown_delay(settings),
        },
        variables=_variables(ApiServerSettings),
    )


def _shutdown_delay(settings: StackSettings) -> dict[str, str]:
    """No delay with a single API server: the delay lets callers move to another server, and there is none."""
    if settings.api_servers > 1 or "SHUTDOWN_DELAY" in os.environ:
        return {}
    return {"SHUTDOWN_DELAY": "0"}


def worker(settings: StackSettings, number: int) -> Part:
    ports = settings.worker_ports(number)
    api_servers = [settings.api_server_ports(each)[0] for each in _numbers(settings.api_servers)]
    return Part(
        name="worker",
        number=number,
        command=(sys.executable, "-m", "worker_service"),
        ports=_named("STACK_WORKER_PORT", settings.worker_port, ports),
        is_ready=lambda: all_are_serving(f"{HOST}:{ports[0]}", len(ports)),
        environment={
            **PYTHON_PATH,
            "WORKER_NAME": f"worker-{number}",
            "WORKER_HOST": HOST,
            "WORKER_PORT": str(ports[0]),
            "WORKER_COUNT": str(len(ports)),
            "WORKER_FILE_ROOT": str(settings.file_root),
            "API_SERVER_ADDRESS": ",".join(f"{HOST}:{port}" for port in api_servers),
            "API_SERVER_PROCESSES": str(settings.api_server_processes),
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers(settings),
        },
        variables=_variables(WorkerSettings),
    )


def _variables(settings: type[BaseSettings]) -> set[str]:
    return {name.upper() for name in settings.model_fields}


def gateway(settings: StackSettings) -> Part:
    config = settings.data_dir / "envoy.yaml"
    descriptor = settings.data_dir / "jobs.binpb"

    callers = Callers(settings.cors_origins, settings.gateway_hosts)
    api_servers = _addresses(settings.api_server_ports, settings.api_servers)
    workers = _addresses(settings.worker_ports, settings.workers)

    def prepare() -> None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        descriptor.write_bytes(descriptor_set())
        config.write_text(
            render(
                Ports(settings.jobs_port, settings.workers_port, admin_socket(settings)),
                api_servers=api_servers,
                workers=workers,
                descriptor_path=descriptor,
                callers=callers,
                dashboard=settings.dashboard,
            )
        )

    return Part(
        name="gateway",
        number=1,
        command=(_envoy(), "-c", str(config), "--disable-hot-restart", "--concurrency", "1"),
        ports={
            "STACK_JOBS_PORT": settings.jobs_port,
            "STACK_WORKERS_PORT": settings.workers_port,
        },
        prepare=prepare,
        # Rendering the whole configuration takes longer than everything else that `make up` compares.
        configuration=f"{api_servers} {workers} {callers} {settings.dashboard} {_files()}",
        is_ready=lambda: _is_live(settings.jobs_port) and _is_live(settings.workers_port),
    )


def admin_socket(settings: StackSettings) -> Path | None:
    """The socket of Envoy's admin pages, or None if the folder's path is too long for one."""
    path = settings.data_dir.absolute() / "envoy-admin.sock"
    return path if len(os.fsencode(path)) <= MAX_SOCKET_PATH else None


def _envoy() -> str:
    """The program of this interpreter's environment, which need not be in PATH."""
    installed = Path(sys.executable).with_name("envoy")
    return str(installed) if installed.exists() else "envoy"


def _files() -> list[tuple[str, int]]:
    """All that the gateway's configuration is made from, each file with the time of its last change."""
    files = [path for path in BASE_FILE.parent.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return sorted((str(path), path.stat().st_mtime_ns) for path in files)


def _numbers(count: int) -> range:
    """The numbers that other parts are configured with: at least the first, even if none is started."""
    return range(1, max(count, 1) + 1)


def _addresses(ports_of: Callable[[int], range], count: int) -> list[tuple[str, int]]:
    return [(HOST, port) for number in _numbers(count) for port in ports_of(number)]


def _named(variable: str, base: int, ports: range) -> dict[str, int]:
    """The ports by the setting that changes them."""
    return {f"{variable} + {port - base}" if port > base else variable: port for port in ports}


def _is_live(port: int) -> bool:
    """Whether the gateway itself answers at one of its ports."""
    try:
        return httpx.get(f"http://{HOST}:{port}/healthz", timeout=1, trust_env=False).is_success
    except httpx.HTTPError:
        return False
