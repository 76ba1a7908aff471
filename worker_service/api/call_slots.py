"""How many calls of one kind go side by side."""

MAX_CALLS = 2
MAX_ITEMS = 500
"""Items in one call."""
WORTH_A_CALL = 100
"""Items that justify a second call beside the first: they share the call's own cost."""


class CallSlots:
    """While one call is under way, new items gather. WORTH_A_CALL of them go in a second call.

    So a call goes at once at low load, and carries many items under load.
    """

    def __init__(self) -> None:
        self.under_way = 0

    def allows(self, items: int) -> bool:
        """Whether a call with this many items may go now."""
        return not self.under_way or (self.under_way < MAX_CALLS and items >= WORTH_A_CALL)
