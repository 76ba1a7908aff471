"""Finds variables of the environment that look like settings and are none. Pure.

Values are not looked at: they may be secrets.
"""

import difflib
import re
from collections.abc import Collection, Iterable

PREFIXES = ("API_SERVER_", "JOB_", "KAFKA_", "MONGODB_", "WORKER_")
UNSERVED = re.compile(r"KAFKA_(SASL|SSL|SECURITY|TLS)(_\w*)?")
"""Settings of other programs for a Kafka that is encrypted or asks who connects."""
ALIKE = 0.85
"""How alike two names are if one is a slip of the pen: the ratio of difflib, from 0 to 1.

Names that are less alike are left alone, because others set such variables too: Kubernetes sets
MONGODB_SERVICE_HOST, and one file of variables may serve both services.
"""


def unserved(names: Iterable[str], known: Collection[str]) -> list[str]:
    """Variables that ask for a protection which the service does not have, sorted."""
    return sorted(name for name in names if name not in known and UNSERVED.fullmatch(name))


def mistyped(names: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Variables that are probably mistyped, and the setting that each may stand for."""
    found = {}
    for name in sorted(names):
        if name in known or not name.startswith(PREFIXES):
            continue
        if nearest := difflib.get_close_matches(name, known, n=1, cutoff=ALIKE):
            found[name] = nearest[0]
    return found
