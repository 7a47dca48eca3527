#!/bin/sh
# Airflow 3.3 opens its file of passwords for writing; a secret is read-only, so it gets a copy of its own.
set -eu
install -m 0600 /run/secrets/airflow_passwords "$AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"
exec "$@"
