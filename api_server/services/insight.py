"""What tells a caller how the system is."""

from dataclasses import dataclass

from api_server.services.explanations import Explanations
from api_server.services.stats import Stats
from api_server.services.type_list import TypeList


@dataclass(frozen=True, slots=True)
class Insight:
    """For Explain, ListTypes and Stats."""

    explanations: Explanations
    types: TypeList
    stats: Stats
