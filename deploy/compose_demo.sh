#!/usr/bin/env bash
# Starts the system in containers, with several replicas and processes and with handlers of its own, runs the
# demo and the checks of containers, and removes the system.
set -euo pipefail
cd "$(dirname "$0")/.."
compose=${DOCKER_COMPOSE:-docker compose}

# A project of its own: the end of this script removes its volumes, and must not remove those of another system.
export COMPOSE_PROJECT_NAME=distributed-processing-demo
export API_SERVER_PROCESSES=2 WORKER_COUNT=2
export JOBS_HOST_PORT=${JOBS_HOST_PORT:-3000} WORKERS_HOST_PORT=${WORKERS_HOST_PORT:-4000}
folder=$(mktemp -d)
trap '$compose down --volumes; rm -rf "$folder"' EXIT

$compose build
# The files in docs/howto/handlers-with-packages.md, as its readers use them.
python -m deploy.handlers_of_the_page "$folder"
export COMPOSE_FILE=${COMPOSE_FILE:-docker-compose.yml}:$folder/docker-compose.override.yml
export WORKER_HANDLERS=thumbnails,nap_handlers
$compose up -d --build --wait --scale worker-service=3 --scale api-server=2

python -m local_stack.demo "127.0.0.1:$JOBS_HOST_PORT" "127.0.0.1:$WORKERS_HOST_PORT"
python -m deploy.compose_checks "127.0.0.1:$JOBS_HOST_PORT" "127.0.0.1:$WORKERS_HOST_PORT"
