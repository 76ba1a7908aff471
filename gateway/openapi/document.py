"""The whole document, made from the descriptors of the contract."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

from contract_runtime import limits
from contract_runtime.job_fields import OF_AN_ANSWER
from gateway.openapi import manners
from gateway.openapi.comments import Comments, comments_of, described
from gateway.openapi.errors import gateway_responses, service_responses
from gateway.openapi.operations import JOB, paths_of
from gateway.openapi.schemas import Schemas

Json = dict[str, Any]
ERROR, ERROR_DETAIL = "Error", "ErrorDetail"
SERVERS: Mapping[str, Json] = {
    limits.JOB_SERVICE.full_name: manners.JOBS_SERVER,
    limits.WORKER_SERVICE.full_name: manners.WORKERS_SERVER,
}
"""The services at the gateway, and where it serves each."""


def document(descriptors: FileDescriptorSet, version: str) -> Json:
    """The OpenAPI document of the services at the gateway.

    `descriptors` have all files of the contract with their imports and with source info. The API server adds
    the schemas of payloads (api_server/rpc/api_document.py).
    """
    pool = DescriptorPool()
    for file in descriptors.file:
        pool.Add(file)
    comments = comments_of(descriptors)
    schemas = Schemas(
        comments,
        renamed={"google.rpc.Status": ERROR},
        hidden={f"{JOB}.{name}" for name in OF_AN_ANSWER},
        required_in_code=manners.REQUIRED_IN_CODE,
    )
    services = [pool.FindServiceByName(name) for name in SERVERS]
    paths: dict[str, Json] = {}
    for service in services:
        for path, item in paths_of(service, schemas, comments).items():
            server = SERVERS[service.full_name]
            paths[path] = item if server is manners.JOBS_SERVER else {"servers": [server], **item}
    return {
        "openapi": "3.1.1",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": manners.TITLE,
            "version": version,
            "description": manners.DESCRIPTION,
            "license": manners.LICENSE,
        },
        "servers": [manners.JOBS_SERVER],
        "security": manners.SECURITY,
        "tags": [_tag(service, comments) for service in services],
        "paths": paths,
        "components": _components(services, schemas, comments),
    }


def _tag(service: ServiceDescriptor, comments: Comments) -> Json:
    """The service, with the first paragraph of its comment."""
    return {
        "name": service.name,
        "description": comments.get(service.full_name, "").partition("\n\n")[0].partition(" Besides ")[0],
    }


def _components(services: Sequence[ServiceDescriptor], schemas: Schemas, comments: Comments) -> Json:
    responses = gateway_responses()
    for service in services:
        errors = described(comments.get(service.full_name, "")).errors
        responses.update(service_responses(service.name, errors))
    return {
        "schemas": {
            **dict(sorted(schemas.components.items())),
            ERROR: manners.ERROR,
            ERROR_DETAIL: manners.ERROR_DETAIL,
        },
        "parameters": dict(manners.PARAMETERS),
        "headers": dict(manners.HEADERS),
        "responses": responses,
        "securitySchemes": manners.SECURITY_SCHEMES,
    }
