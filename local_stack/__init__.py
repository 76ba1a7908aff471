"""Runs the whole system on this machine without Docker.

MongoDB, Apache Kafka and Envoy are the real servers, installed from Python packages.
"""
