"""What a servicer may add to the answer of a REST call: an HTTP status and headers."""

from typing import Any

from contract_runtime.rest import HEAD_HEADER, STATUS_HEADER


class RestContext:
    """gRPC's context of a REST call, with the status and the headers of the answer.

    They are for calls with one response. A stream sends its headers with `send_initial_metadata`.
    """

    def __init__(self, context: Any) -> None:
        self._context = context
        self.status: int | None = None
        """None: the usual one for the call's outcome."""
        self.headers: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    @property
    def is_head(self) -> bool:
        """Whether only the headers of the answer reach the client."""
        return bool(self.request_headers(HEAD_HEADER))

    def request_headers(self, name: str) -> list[str]:
        """The values of a request header."""
        found = (value for key, value in self._context.invocation_metadata() if key == name)
        return [value for value in found if isinstance(value, str)]

    async def send_headers(self) -> None:
        """Send them, if there are any. Must come before the response."""
        metadata = tuple(self.headers.items())
        if self.status is not None:
            metadata += ((STATUS_HEADER, str(self.status)),)
        if metadata:
            await self._context.send_initial_metadata(metadata)


def rest_of(context: Any) -> RestContext | None:
    """The context, if the call came by REST."""
    return context if isinstance(context, RestContext) else None
