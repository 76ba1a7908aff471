"""Writes the API as an OpenAPI 3.1 document, from the descriptors of the contract and the comments in it.

All modules but `__main__` are pure: a google.protobuf.FileDescriptorSet with source info comes in, and JSON
goes out. What the contract cannot say is in `manners` (headers, errors of the gateway) and `examples`.
"""
