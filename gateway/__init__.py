"""The gateway: Envoy in front of the services, its configuration and its descriptor set."""
