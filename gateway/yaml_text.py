"""YAML by libyaml, which is ten times faster than PyYAML's own code and is part of its wheels."""

from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _PlainDumper(DUMPER):  # type: ignore[misc]  # - one of two classes
    """Writes repeated parts out in full, without YAML aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base class sets the signature
        return True


def load(text: str) -> Any:
    return yaml.load(text, LOADER)  # noqa: S506 - it is a safe loader


def dump(config: dict[str, Any]) -> str:
    text: str = yaml.dump(config, Dumper=_PlainDumper, sort_keys=False)
    return text
