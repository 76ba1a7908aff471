"""The same architecture without any batching: what one writes first.

Every job is inserted, published, claimed, run and reported by itself, each step awaited before the next. The same
contract, gateway, MongoDB and Kafka; no leases, no recovery, and no guarantee beyond those of each single step.
"""
