"""The one error that a call to the API server raises."""

from google.rpc.status_pb2 import Status

from contract_runtime.status_details import code_name


class ApiCallFailed(Exception):
    """An API server refused the call, or no API server answered in time."""

    def __init__(self, status: Status) -> None:
        super().__init__(f"{code_name(status.code)}: {status.message}")
        self.status = status
        self.code = status.code
        """A google.rpc.Code."""
        self.code_name = code_name(status.code)
        self.message = status.message
