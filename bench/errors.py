"""What ends a benchmark run."""


class BenchFailed(Exception):
    """A system or a load generator did not do what it should; the text says what, and what to do."""
