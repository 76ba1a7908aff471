"""How those who call the API servers, workers and clients, keep their connections."""

CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.max_send_message_length", 8 * 1024 * 1024),
    # One name may stand for several servers: use them all.
    ("grpc.lb_policy_name", "round_robin"),
    # A frozen server is found out in 15 s. The server allows no more than a ping every 10 s.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # A server that comes back is found within about a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    # Each channel has connections of its own, so that heartbeats do not queue behind batches.
    ("grpc.use_local_subchannel_pool", 1),
)
