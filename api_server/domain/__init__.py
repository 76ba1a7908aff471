"""What a job is and how it may change. Pure: no I/O, no protobuf, no database."""
