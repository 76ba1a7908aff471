"""The version of the distribution. It is here so that it is known where the distribution is not installed."""

VERSION = "0.1.0"
