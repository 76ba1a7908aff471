"""Creating topics on a real Kafka."""

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from structlog.testing import capture_logs

from api_server.adapters.kafka.topics import KafkaTopics
from contract_runtime.topics import topic_of
from tests.integration.kafka.broker import PARTITIONS, Broker


async def setting(broker: Broker, job_type: str, name: str) -> str:
    """The value of one setting of the type's topic."""
    wanted = ConfigResource(ConfigResourceType.TOPIC, topic_of(job_type), {name: None})
    async with broker.admin() as admin:
        (answer,) = await admin.describe_configs([wanted])
    ((_, _, _, _, entries),) = answer.resources
    return next(str(entry[1]) for entry in entries if entry[0] == name)


async def test_a_topic_is_created_with_the_settings(broker: Broker, job_type: str) -> None:
    # More than there are brokers, so that it differs from the broker's default.
    topics = KafkaTopics(broker.servers, [job_type], PARTITIONS, 1, min_insync_replicas=2)
    with capture_logs() as logs:
        assert await topics.create_missing()
    assert await broker.partitions_when_made(job_type) == list(range(PARTITIONS))
    assert await setting(broker, job_type, "min.insync.replicas") == "2"
    assert [entry["event"] for entry in logs] == ["topics_created"]


async def test_a_topic_with_fewer_copies_than_were_set_is_warned_about_once_and_left_alone(
    broker: Broker, job_type: str
) -> None:
    assert await broker.topics(job_type).create_missing()
    await broker.partitions_when_made(job_type)
    topics = KafkaTopics(broker.servers, [job_type], PARTITIONS, 3, min_insync_replicas=2)
    with capture_logs() as logs:
        assert await topics.create_missing()
        assert await topics.create_missing()
    (warning,) = logs
    assert (warning["event"], warning["log_level"]) == ("topics_have_few_copies", "warning")
    assert (warning["copies"], warning["brokers"]) == ({topic_of(job_type): 1}, 1)
    assert await setting(broker, job_type, "min.insync.replicas") == "1"
