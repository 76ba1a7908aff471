"""gRPC calls with valid, nearly valid and invalid messages."""

from google.protobuf.descriptor import MethodDescriptor
from hypothesis import strategies as st

from tests.fuzz.calls import NativeCall, ways
from tests.fuzz.messages import messages
from tests.fuzz.texts import pick
from tests.fuzz.wire import wire

KEYS = ("k", "k", "l", "x" * 255, "x" * 256, "", "a b", "$where", "%00", "{}", "k" * 5000)


@st.composite
def native_calls(draw: st.DrawFn, method: MethodDescriptor) -> NativeCall:
    """Calls of one method, through the gateway or directly to the server."""
    keys = draw(st.lists(pick(KEYS), max_size=2)) if not draw(st.integers(0, 7)) else []
    return NativeCall(
        method,
        draw(wire(messages(method.input_type))),
        draw(st.sampled_from(ways(method))),
        tuple(("idempotency-key", key) for key in keys),
    )
