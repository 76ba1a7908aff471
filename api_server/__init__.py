"""Stores jobs in MongoDB, dispatches them through Kafka, and answers JobService."""
