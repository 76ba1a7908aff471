"""The stubs of validate.proto: those of the package `buf` if it is installed, otherwise a copy.

A process can hold only one version of validate.proto, so all stubs in it must take the same.
"""

try:
    from buf.validate import validate_pb2
except ImportError:
    from . import _validate_pb2 as validate_pb2

__all__ = ["validate_pb2"]
