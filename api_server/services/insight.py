"""What tells a caller how the system is, and what a job did."""

from dataclasses import dataclass

from api_server.services.explanations import Explanations
from api_server.services.job_logs import JobLogs
from api_server.services.stats import Stats
from api_server.services.type_list import TypeList


@dataclass(frozen=True, slots=True)
class Insight:
    """For Explain, ListTypes, Stats and GetLog."""

    explanations: Explanations
    types: TypeList
    stats: Stats
    logs: JobLogs
