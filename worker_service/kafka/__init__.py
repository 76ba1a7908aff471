"""Kafka: polls records, is a member of the consumer group, and commits offsets."""
