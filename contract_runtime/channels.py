"""Channel options for callers of the API servers: workers and clients."""

import json

from contract_runtime.limits import MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES

LOAD_BALANCING = [
    # A name may resolve to several servers: calls go to them in turn. A server that left calls unanswered is
    # ejected for 5 s, and longer the next time. With two servers one can be ejected, with one server none.
    {
        "outlier_detection_experimental": {
            "interval": "1s",
            "baseEjectionTime": "5s",
            "maxEjectionTime": "15s",
            "maxEjectionPercent": 50,
            "failurePercentageEjection": {
                "threshold": 50,
                "enforcementPercentage": 100,
                "minimumHosts": 2,
                "requestVolume": 1,
            },
            "childPolicy": [{"round_robin": {}}],
        }
    },
    # For a gRPC version that no longer knows the first policy.
    {"round_robin": {}},
]
CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
    ("grpc.max_send_message_length", MAX_REQUEST_BYTES),
    ("grpc.service_config", json.dumps({"loadBalancingConfig": LOAD_BALANCING})),
    # A connection to a frozen server is closed after 15 s. The server allows one ping every 10 s at most.
    # Both timeouts are needed: keepalive_timeout_ms alone does not end the wait for a ping's answer.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    # A server that comes back is used again within about a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    # Each channel has its own connections, so that heartbeats do not queue behind batches.
    ("grpc.use_local_subchannel_pool", 1),
)
