"""Writes the secrets that the compose file mounts, once, into ``workspace/secrets/``; prints no secret.

``python3 infra/keys.py`` needs the standard library only. Files that are there already are kept.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "workspace" / "secrets"


def contents(known: dict[str, str]) -> dict[str, str]:
    """Returns every secret by its file name.

    Args:
        known: what is written already; the databases' addresses follow from their passwords.
    """
    airflow = known.get("airflow_database_password") or secrets.token_urlsafe(24)
    mlflow = known.get("mlflow_database_password") or secrets.token_urlsafe(24)
    operator = known.get("service_operator_key") or f"geoml_{secrets.token_urlsafe(32)}"
    row = {"name": "operator", "role": "operator", "sha256": hashlib.sha256(operator.encode()).hexdigest()}
    fresh = {
        "postgres_password": secrets.token_urlsafe(24),
        "airflow_database_password": airflow,
        "airflow_database": f"postgresql+psycopg2://airflow:{airflow}@postgres:5432/airflow",
        "airflow_fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "airflow_api_key": secrets.token_hex(32),
        "airflow_jwt": secrets.token_hex(48),
        "airflow_passwords": json.dumps({"admin": secrets.token_urlsafe(12)}),
        "mlflow_database_password": mlflow,
        "mlflow_database": f"postgresql+psycopg2://mlflow:{mlflow}@postgres:5432/mlflow",
        # The service is given digests only; the operator's own key stays in the folder.
        "service_operator_key": operator,
        "service_keys": f"keys:\n- {json.dumps(row)}",
    }
    return fresh | known


def main() -> None:
    """Fills the folder; only its owner may enter it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    FOLDER.chmod(0o700)
    known = {path.name: path.read_text() for path in FOLDER.iterdir() if path.is_file()}
    for name, content in contents(known).items():
        path = FOLDER / name
        if name not in known:
            path.write_text(content)
        # Mounted file by file into containers of another user; the folder keeps everybody else out.
        path.chmod(0o444)


if __name__ == "__main__":
    main()
