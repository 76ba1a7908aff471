"""Where the notification of a job's end is sent."""

from contract_runtime.value import value


@value
class Notify:
    """`is_default`: the URL comes from the server's settings, not from the request."""

    url: str
    is_default: bool = False
