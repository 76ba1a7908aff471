"""The use cases: what the RPCs do, apart from how they are called and where jobs are stored."""
