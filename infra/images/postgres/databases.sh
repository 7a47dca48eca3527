#!/bin/sh
# Run once by the PostgreSQL image, when its volume is empty: one database and one user per tool.
set -eu
for name in airflow mlflow; do
  psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set name="$name" --set word="$(cat "/run/secrets/${name}_database_password")" <<'SQL'
CREATE USER :"name" PASSWORD :'word';
CREATE DATABASE :"name" OWNER :"name";
SQL
done
