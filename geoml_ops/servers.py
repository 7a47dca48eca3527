"""What each server of a stack is: its command, its variables, its secrets.

Compose files and charts mirror this module process by process.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from geoml_ops.adapters.configs import read_policy
from geoml_ops.core.errors import GeomlError
from geoml_ops.platform.files import write_text
from geoml_ops.platform.network import WITNESS
from geoml_ops.settings import CHECKOUT, QUIET, Settings

PORTS: Mapping[str, int] = {"airflow": 8080, "mlflow": 5000, "service": 3000, "evidently": 8000}


def new_secrets() -> dict[str, str]:
    """Returns a password for people and three keys for Airflow, fresh."""
    return {
        "admin": secrets.token_urlsafe(12),
        "jwt": secrets.token_hex(48),
        "api": secrets.token_hex(32),
        "fernet": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }


def environment(
    settings: Settings, ports: Mapping[str, int], keys: Mapping[str, str], *, witness: Path | None
) -> dict[str, str]:
    """Returns the variables of every server: this machine's, quiet tools, this stack's addresses.

    Args:
        settings: with the addresses of this stack.
        ports: one per server.
        keys: from :func:`new_secrets`.
        witness: where each Python process writes attempts to reach beyond loopback; None for no witness.
    """
    home = settings.workspace.resolve() / "stack"
    paths = [str(CHECKOUT)]
    extra = {}
    if witness is not None:
        paths.insert(0, str(CHECKOUT / "geoml_ops" / "platform" / "witness"))
        extra[WITNESS] = str(witness)
    return (
        dict(os.environ)
        | dict(QUIET)
        | settings.as_environment()
        | extra
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
            "BENTOML_HOME": str(home / "bentoml"),
            "AIRFLOW_HOME": str(home / "airflow"),
        }
        | _airflow(ports, keys, home / "airflow", respondents(settings))
    )


def commands(settings: Settings, ports: Mapping[str, int]) -> dict[str, list[str]]:
    """Returns, for each server, the command that runs it."""
    python, here = [sys.executable, "-m"], "127.0.0.1"
    mlflow = settings.workspace.resolve() / "stack" / "mlflow"
    return {
        "mlflow": [
            *python, "mlflow", "server", "--host", here, "--port", str(ports["mlflow"]), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{mlflow / 'mlflow.db'}",
            "--artifacts-destination", str(mlflow / "artifacts"),
        ],
        "airflow-api": [*python, "airflow", "api-server"],
        # Its log server would listen on every address; the API server reads the same files.
        "airflow-scheduler": [*python, "dags.scheduler", "--skip-serve-logs"],
        "airflow-dags": [*python, "airflow", "dag-processor"],
        "service": [
            *python, "bentoml", "serve", "serving.service:Landcover", "--host", here,
            "--port", str(ports["service"]), "--working-dir", str(CHECKOUT),
        ],
        "evidently": [
            str(Path(sys.executable).parent / "evidently"), "ui", "--workspace", str(settings.places().evidently),
            "--host", here, "--port", str(ports["evidently"]),
        ],
    }  # fmt: skip


def respondents(settings: Settings) -> tuple[str, ...]:
    """Returns who needs an account of Airflow beside ``admin`` to answer what the promotion policy asks."""
    try:
        promotion = read_policy(settings.places().policy).promotion
    except GeomlError:
        return ()  # whoever needs the policy says what is wrong with it
    if promotion.by == "auto":
        return ()
    second = ("reviewer",) if promotion.second_person and not promotion.respondents else ()
    return tuple(sorted({*promotion.respondents, *second} - {"admin"}))


def password_of(name: str, keys: Mapping[str, str]) -> str:
    """Returns the password of a person, the same as long as this stack keeps its secrets."""
    return (
        keys["admin"] if name == "admin" else hmac.new(keys["api"].encode(), name.encode(), "sha256").hexdigest()[:16]
    )


def _airflow(ports: Mapping[str, int], keys: Mapping[str, str], home: Path, people: tuple[str, ...]) -> dict[str, str]:
    base = f"http://127.0.0.1:{ports['airflow']}"
    passwords = home / "passwords.json"
    home.mkdir(parents=True, exist_ok=True)
    write_text(passwords, json.dumps({name: password_of(name, keys) for name in ("admin", *people)}))
    passwords.chmod(0o600)
    options = {
        "CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
        "CORE__PLUGINS_FOLDER": str(CHECKOUT / "dags" / "plugins"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "2",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__EXECUTION_API_SERVER_URL": f"{base}/execution/",
        "CORE__HOSTNAME_CALLABLE": "airflow.utils.net.get_host_ip_address",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(["admin:admin", *(f"{name}:op" for name in people)]),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "CORE__FERNET_KEY": keys["fernet"],
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "API__HOST": "127.0.0.1",
        "API__PORT": str(ports["airflow"]),
        "API__BASE_URL": base,
        "API__SECRET_KEY": keys["api"],
        "API_AUTH__JWT_SECRET": keys["jwt"],
        # The default holds a slot for 5 s per task and looks for work once a second.
        "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
    }
    return {f"AIRFLOW__{name}": value for name, value in options.items()}
