"""What the parts of AsyncJobClient share: the session, and single calls of it."""

from typing import Any

from job_client.session import Session


class AsyncBase:
    """Part of AsyncJobClient."""

    _session: Session

    async def _call(self, name: str, request: Any, timeout: float | None) -> Any:
        give_up = self._session.give_up(timeout)
        return await (await self._session.calls()).unary.call(name, request, give_up)

    async def _control(self, name: str, request: Any, timeout: float | None) -> Any:
        """A call to the port of the workers."""
        give_up = self._session.give_up(timeout)
        return await (await self._session.control()).call(name, request, give_up)
