#!/bin/sh
# MLflow takes its database's address from the environment; the secret stays in its file until here.
set -eu
MLFLOW_BACKEND_STORE_URI="$(cat /run/secrets/mlflow_database)"
export MLFLOW_BACKEND_STORE_URI
exec "$@"
