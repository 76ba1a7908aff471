"""Who calls, and whether the caller may: tokens, roles, and the check before each call."""
