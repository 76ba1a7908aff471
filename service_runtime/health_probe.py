"""Checks the health of a gRPC server: exit status 0 if it is SERVING. For container health checks.

    python -m service_runtime.health_probe HOST:PORT [PROCESSES]

With PROCESSES, the servers on that number of ports, from PORT on, must all be SERVING.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT = 2.0


def is_serving(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=TIMEOUT
            )
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def all_are_serving(first_address: str, processes: int) -> bool:
    """Whether all `processes` are SERVING; they are checked in parallel."""
    host, _, port = first_address.rpartition(":")
    addresses = [f"{host}:{int(port) + number}" for number in range(processes)]
    with ThreadPoolExecutor(processes) as pool:
        return all(pool.map(is_serving, addresses))


if __name__ == "__main__":
    sys.exit(0 if all_are_serving(sys.argv[1], int((sys.argv[2:] or ["1"])[0])) else 1)
