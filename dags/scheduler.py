"""Airflow's scheduler with the tools loaded once.

The local executor forks every task from this process, so what is imported here costs a task nothing;
loaded by each task anew, Great Expectations, Evidently and MLflow take longer than most tasks run.
Where processes are spawned instead of forked it makes no difference.
"""

from __future__ import annotations

import sys


def _wait_for_the_api(limit_s: float = 180.0) -> None:
    # A task that a killed scheduler left behind is started at once; without anybody to report to it
    # would use up its tries.
    import os
    import time

    import httpx

    url = os.environ.get("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "")
    deadline = time.monotonic() + limit_s
    while url and time.monotonic() < deadline:
        try:
            if httpx.get(f"{url.rstrip('/')}/health", timeout=60.0, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)


def main() -> None:
    """Loads the steps and becomes ``airflow scheduler``; further words of the command line are passed on."""
    from geoml_ops.settings import be_quiet

    be_quiet()  # before the tools: some of them read their switches when they are loaded
    from airflow.__main__ import main as airflow

    from geoml_ops.steps import ingest, publish, train, watch

    assert all((ingest, publish, train, watch))
    _wait_for_the_api()
    sys.argv = ["airflow", "scheduler", *sys.argv[1:]]
    airflow()


if __name__ == "__main__":
    main()
