"""Runs the whole system on this machine without Docker: the real MongoDB, Apache Kafka and Envoy, from Python packages."""
