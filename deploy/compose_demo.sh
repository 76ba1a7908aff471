#!/usr/bin/env bash
# Starts the system in containers, with several replicas and processes, runs the demo and stops the system.
set -euo pipefail
cd "$(dirname "$0")/.."
compose=${DOCKER_COMPOSE:-docker compose}

export API_SERVER_PROCESSES=2 WORKER_COUNT=2
$compose up -d --build --wait --scale worker-service=3 --scale api-server=2
trap '$compose down --volumes' EXIT
python -m local_stack.demo 127.0.0.1:3000 127.0.0.1:4000
