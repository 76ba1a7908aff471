"""What a handler is given, and the error that it raises about it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at a job. `attempt` counts from 1 and grows with each start; `payload` is a JSON object, whole numbers as int."""

    id: str
    type: str
    attempt: int
    payload: dict[str, Any]


class InputError(ValueError):
    """The job's payload is at fault: `field` and what the rule is, such as `input: must be a string, is a number`."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, str]]:
        return InputError, (self.field, self.problem)
