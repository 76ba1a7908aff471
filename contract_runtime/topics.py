"""The Kafka topic of a job type, and back."""

TOPIC_PREFIX = "jobs."


def topic_of(job_type: str) -> str:
    """The topic that carries the dispatch records of this type."""
    return f"{TOPIC_PREFIX}{job_type}"


def type_of(topic: str) -> str:
    """The job type whose records this topic carries."""
    return topic.removeprefix(TOPIC_PREFIX)
