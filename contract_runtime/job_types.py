"""The names of job types."""

JOB_TYPE_PATTERN = r"^[a-z][a-z0-9-]{0,62}$"
"""What the name of a job type looks like, everywhere."""
