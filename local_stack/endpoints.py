"""The addresses of a running system."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Endpoints:
    """The gateway's addresses, as host:port."""

    jobs_address: str
    workers_address: str

    @property
    def jobs_url(self) -> str:
        return f"http://{self.jobs_address}"

    @property
    def workers_url(self) -> str:
        return f"http://{self.workers_address}"
