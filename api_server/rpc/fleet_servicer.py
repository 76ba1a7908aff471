"""FleetService of the contract: decode the request, call the service, encode the answer."""

from typing import Any

from api_server.rpc import answers, requests
from api_server.rpc.log_message import attempt_logs
from api_server.rpc.registration import handler_schemas, worker_identity
from api_server.rpc.worker_session import session_hash
from api_server.schema_ports import SchemaStore
from api_server.services.fleet import FleetService
from api_server.services.job_logs import JobLogs
from api_server.services.permissions import JobPermissions, check_types
from api_server.services.worker_sessions import WorkerSessions
from job_client._gen.jobs.v1 import fleet_service_pb2, fleet_service_pb2_grpc, log_pb2
from service_runtime.access.principal import caller


class FleetServicer(fleet_service_pb2_grpc.FleetServiceServicer):
    """Each method is documented in proto/jobs/v1/fleet_service.proto."""

    def __init__(
        self,
        fleet: FleetService,
        logs: JobLogs,
        schemas: SchemaStore,
        sessions: WorkerSessions,
        permissions: JobPermissions,
    ) -> None:
        self._fleet = fleet
        self._sessions = sessions
        self._logs = logs
        self._schemas = schemas
        self._permissions = permissions

    async def RegisterWorker(
        self, request: fleet_service_pb2.RegisterWorkerRequest, context: Any
    ) -> fleet_service_pb2.RegisterWorkerResponse:
        check_types(request.worker.types, caller())
        session = session_hash(context.invocation_metadata())
        schemas = handler_schemas(request)
        # Before the worker, which names them.
        await self._schemas.add(schemas)
        fleet = await self._fleet.register(worker_identity(request.worker, schemas), session)
        known = self._fleet.job_types
        response = fleet_service_pb2.RegisterWorkerResponse(
            fleet=answers.fleet_message(fleet),
            untaken_types=[each for each in request.worker.types if each not in known],
        )
        response.lease.FromTimedelta(self._fleet.times.lease)
        response.heartbeat_interval.FromTimedelta(self._fleet.times.heartbeat_interval)
        return response

    async def Heartbeat(
        self, request: fleet_service_pb2.HeartbeatRequest, context: Any
    ) -> fleet_service_pb2.HeartbeatResponse:
        job_ids = [requests.job_id(text) for text in request.job_ids]
        report = requests.worker_report(request.report)
        progress = requests.progress_notes(request)
        # First: a heartbeat of another process must not move a lease.
        session = session_hash(context.invocation_metadata())
        await self._sessions.check_registered(request.worker_id, session)
        answer = await self._fleet.heartbeat(request.worker_id, job_ids, report, progress)
        return fleet_service_pb2.HeartbeatResponse(
            fleet=answers.fleet_message(answer.fleet), stop_job_ids=[str(job_id) for job_id in answer.stop]
        )

    async def SetFleet(
        self, request: fleet_service_pb2.SetFleetRequest, context: Any
    ) -> fleet_service_pb2.SetFleetResponse:
        part = requests.fleet_part(request)
        fleet, pending = await self._fleet.set_consuming(request.consuming, part)
        return fleet_service_pb2.SetFleetResponse(
            fleet=answers.fleet_message(fleet), pending_worker_ids=pending
        )

    async def GetFleet(
        self, request: fleet_service_pb2.GetFleetRequest, context: Any
    ) -> fleet_service_pb2.GetFleetResponse:
        fleet, workers = await self._fleet.fleet()
        shown = answers.worker_messages(workers)
        return fleet_service_pb2.GetFleetResponse(
            fleet=answers.fleet_message(fleet), workers=shown, workers_omitted=len(workers) - len(shown)
        )

    async def AppendLog(self, request: log_pb2.AppendLogRequest, context: Any) -> log_pb2.AppendLogResponse:
        session = session_hash(context.invocation_metadata())
        await self._sessions.check(request.worker_id, session)
        logs = attempt_logs(request)
        await self._permissions.check_types_of([each.job_id for each in logs], caller())
        await self._logs.append(request.worker_id, logs)
        return log_pb2.AppendLogResponse()
