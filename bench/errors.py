class BenchFailed(Exception):
    """A system or a load generator failed. The message tells what happened and what to do."""
