"""Schemas by which a worker may try to break the API document, or to run a script in the page at /api."""

from collections.abc import Mapping
from typing import Any

SHOWN_HOSTILE: Mapping[str, dict[str, Any]] = {
    "constructor": {"properties": {"__proto__": {"type": "string"}, "$id": {"const": "</script>"}}},
    "defaults": {"type": "object", "default": 5, "properties": {"a": {"type": "string", "default": []}}},
    "dialect": {"$schema": "http://evil.example/dialect", "type": "object"},
    "examples": {"examples": [{"$ref": "http://evil.example"}], "example": {"$ref": "/jobs"}, "xml": 5},
    "names": {"properties": {"<img src=x onerror=alert(1)>": {"enum": ["<script>alert(1)</script>"]}}},
    "pattern": {"properties": {"a": {"pattern": "^\\p{L}+$", "type": "string"}}},
    "required": {"allOf": [{"type": "object"}], "required": ["not-a-property"]},
    "surrogate": {"description": "\ud800 </script><script>alert(1)</script>"},
}
LEFT_OUT_HOSTILE: Mapping[str, dict[str, Any]] = {
    "elsewhere": {"$ref": "http://evil.example/schema.json"},
    "inside": {"properties": {"a": {"$ref": "#/paths/~1jobs"}}},
    "itself": {"properties": {"a": {"$ref": "#"}}},
    "data": {"const": {"$ref": "#/components/schemas/Job"}},
    "property": {"properties": {"$ref": {"type": "string"}}},
}
