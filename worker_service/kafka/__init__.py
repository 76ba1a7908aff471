"""Kafka: polls records, keeps the worker in its consumer group, and commits offsets."""
