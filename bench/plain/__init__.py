"""The same architecture without batching, as a first version would be written.

Each job is inserted, published, claimed, run and reported alone, and each step is awaited before the next.
The contract, the gateway, MongoDB and Kafka are the same. There are no leases, no recovery, and no guarantees
beyond each single step.
"""
