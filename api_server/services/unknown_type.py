"""The error for a job type that this server does not take."""

from itertools import islice

from api_server.stats_ports import JobTypes
from contract_runtime.errors import InvalidArgument, invalid

SHOWN = 20
"""How many types an error names. All of them may not fit into an answer."""


def unknown_type(field: str, job_type: str, known: JobTypes) -> InvalidArgument:
    """`field`: of the request that names the type."""
    names = ", ".join(islice(known, SHOWN)) + (", …" if len(known) > SHOWN else "")
    if known.workers_add:
        rule = f"must be a type that a worker has registered, or one of {names}, is {job_type!r}"
    else:
        rule = f"must be one of {names}, is {job_type!r}"
    return invalid(field, "type.known", rule)
