"""The limits of the schemas of handlers."""

MAX_SCHEMA_BYTES = 32 * 1024
"""UTF-8 bytes of one schema; the contract's limit."""
MAX_SCHEMAS_BYTES = 1024 * 1024
"""UTF-8 bytes of all schemas of one worker."""
