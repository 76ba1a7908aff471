# One file for all images of this project; `docker compose build` makes them. Each target is one image.
ARG PYTHON_IMAGE=python:3.12.12-slim-bookworm
ARG ENVOY_IMAGE=envoyproxy/envoy:v1.40.0

FROM ${PYTHON_IMAGE} AS packages
COPY requirements/runtime.lock /tmp/
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /tmp/runtime.lock

FROM ${PYTHON_IMAGE} AS service
RUN useradd --system --uid 10001 --no-create-home service && install -d -o service -m 700 /srv/tokens
COPY --from=packages /venv /venv
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY gen gen
COPY job_client job_client
COPY contract_runtime contract_runtime
COPY service_runtime service_runtime
USER service

FROM service AS api-server
COPY deploy/initiate_replica_set.py deploy/
COPY api_server api_server
CMD ["python", "-m", "api_server"]

FROM service AS worker-service
COPY worker_service worker_service
CMD ["python", "-m", "worker_service"]

FROM ${PYTHON_IMAGE} AS gateway-configuration
COPY requirements/gateway.lock /tmp/
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /tmp/gateway.lock
WORKDIR /app
ENV PYTHONPATH=/app
COPY gen gen
COPY job_client job_client
COPY contract_runtime contract_runtime
COPY gateway gateway
# Which web pages may call the API: origins separated by commas, or *; none by default.
ARG GATEWAY_CORS_ORIGINS=
# Under which host names clients may call, besides localhost, 127.0.0.1, ::1 and gateway.
ARG GATEWAY_HOSTS=
# What the dashboard can do: full, no-stop, or off.
ARG GATEWAY_DASHBOARD=full
# How many processes, each with a port, there are at every address of a service.
ARG API_SERVER_PROCESSES=1
ARG WORKER_COUNT=1
RUN mkdir /out && python -m gateway.descriptor /out/jobs.binpb && python -m gateway.configure /out/envoy.yaml

FROM ${ENVOY_IMAGE} AS gateway
COPY --from=gateway-configuration /out/ /etc/envoy/
USER envoy
CMD ["envoy", "-c", "/etc/envoy/envoy.yaml", "--disable-hot-restart"]
