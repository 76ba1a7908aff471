"""Makes a logger class whose methods never raise."""

import inspect
from collections.abc import Callable
from typing import Any

NOTHING = frozenset({"_nop", "_anop", "is_enabled_for", "get_effective_level", "<lambda>"})


def never_raising(wrapper: type, note_lost: Callable[[], None]) -> type:
    """The logger class, with methods that never raise, not even while they render."""

    def safe(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return method(*args, **kwargs)
            except Exception:  # noqa: BLE001 - the line is dropped, the caller goes on
                note_lost()
                return None

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            try:
                return await method(*args, **kwargs)
            except Exception:  # noqa: BLE001 - the line is dropped, the caller goes on
                note_lost()
                return None

        return call_async if inspect.iscoroutinefunction(method) else call

    # Methods below the level do nothing already.
    methods = {
        name: safe(method)
        for name, method in vars(wrapper).items()
        if inspect.isfunction(method) and not name.startswith("_") and method.__name__ not in NOTHING
    }
    return type(wrapper.__name__, (wrapper,), methods)
