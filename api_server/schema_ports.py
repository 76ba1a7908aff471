"""What the schemas of handlers need from outside. Adapters implement these."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from api_server.domain.handler_schema import HandlerSchema
from contract_runtime.errors import Violation


class SchemaStore(Protocol):
    """The schemas that workers have registered. Each is stored once, however many workers have it.

    Raises StoreUnavailable as the stores of ports.py do.
    """

    async def add(self, schemas: Sequence[HandlerSchema]) -> None:
        """Store those that are missing, on a majority of the database.

        Forgets schemas that no worker has any more. If there are too many, new ones are not stored.
        """

    async def read(self, ids: Collection[str]) -> Sequence[HandlerSchema]:
        """Those of `ids` that are stored, in any order."""


class PayloadValidator(Protocol):
    """Checks payloads against one schema, from memory."""

    def violations(
        self, payload: Mapping[str, Any], size: int, *, explained: bool = True
    ) -> Sequence[Violation]:
        """What is wrong with a payload, with paths such as `payload.size.width`; empty: it fits.

        `size`: of the payload, in bytes as protobuf. `explained`: whether to look for the wrong fields, which
        takes up to 50 ms.
        """


CompileSchema = Callable[[Mapping[str, Any]], PayloadValidator]
"""Prepares the checks against a schema. Raises UnusableSchema. Can take some milliseconds."""


class PayloadCheck(Protocol):
    """What JobCreation needs."""

    def check(
        self, job_type: str, payload: Mapping[str, Any], size: int | None, *, explained: bool = True
    ) -> None:
        """Raise InvalidArgument if the payload does not fit what the handlers of the type declare.

        `size`: in bytes as protobuf; None: not measured. `explained`: whether the error names the fields.
        """


class UncheckedPayloads(PayloadCheck):
    """Accepts every payload."""

    def check(
        self, job_type: str, payload: Mapping[str, Any], size: int | None, *, explained: bool = True
    ) -> None:
        pass
