"""The name of a topic, which both services must agree on."""

from contract_runtime.topics import topic_of, type_of


def test_a_type_and_its_topic_name_each_other() -> None:
    assert topic_of("compute") == "jobs.compute"
    assert type_of("jobs.compute") == "compute"
    assert type_of(topic_of("jobs.x")) == "jobs.x"
