"""The connection to the API servers."""

import grpc

from service_runtime.channels import CHANNEL_OPTIONS


def open_channel(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    """`address`: host:port; the host may be a name with several addresses. Without credentials nothing is encrypted."""
    target = f"dns:///{address}"
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
    return grpc.aio.secure_channel(target, credentials, options=CHANNEL_OPTIONS)
