"""What several parts of a worker share: the desired state of the fleet, and counters."""
