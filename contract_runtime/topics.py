"""The name of the Kafka topic for each job type: `jobs.<type>`."""

PREFIX = "jobs."


def topic_of(job_type: str) -> str:
    """The topic for jobs of a type."""
    return f"{PREFIX}{job_type}"


def type_of(topic: str) -> str:
    """The job type of a topic."""
    return topic.removeprefix(PREFIX)
