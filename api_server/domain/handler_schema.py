"""What the handlers of a worker say about their payloads and results, as JSON Schema. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

UNREGISTERED = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class HandlerSchema:
    """The schemas of one handler, as JSON text; "": the handler declares none.

    `registered_at`: when a worker registered it for the first time.
    """

    type: str
    payload_text: str
    result_text: str
    registered_at: datetime = UNREGISTERED

    @cached_property
    def id(self) -> str:
        """Is the same for the same schemas of the same type."""
        content = json.dumps([self.type, self.payload_text, self.result_text])
        return hashlib.sha256(content.encode()).hexdigest()

    @cached_property
    def payload(self) -> Mapping[str, Any]:
        """The schema of the payload; one that every object fits, if the handler declares none."""
        return _object(self.payload_text)

    @cached_property
    def result(self) -> Mapping[str, Any]:
        return _object(self.result_text)

    @property
    def size(self) -> int:
        """Characters of both."""
        return len(self.payload_text) + len(self.result_text)


def _object(text: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(text) if text else {}
    return found
