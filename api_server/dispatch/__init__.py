"""Brings stored jobs to Kafka."""
