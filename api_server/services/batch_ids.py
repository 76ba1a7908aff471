"""A batch names each job at most once."""

from collections.abc import Sequence
from uuid import UUID

from contract_runtime.errors import InvalidArgument, Violation


def check_each_once(job_ids: Sequence[UUID | None], field: str = "requests[{}].id") -> None:
    """Raise InvalidArgument with one violation for each item that repeats an earlier item's job.

    `field`: the id's path, with the item's index in place of `{}`. None: the item names no job.
    """
    seen: dict[UUID, int] = {}
    violations = []
    for index, job_id in enumerate(job_ids):
        if job_id is None:
            continue
        first = seen.setdefault(job_id, index)
        if first != index:
            description = f"must occur only once in the batch, is the same as {field.format(first)}"
            violations.append(Violation(field.format(index), "batch.id_once", description))
    if violations:
        raise InvalidArgument(violations)
