"""Airflow's scheduler with the tools loaded once.

The local executor forks every task from this process, so what is imported here costs a task nothing;
loaded by each task anew, Great Expectations, Evidently and MLflow take longer than most tasks run.
Where processes are spawned instead of forked it makes no difference.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Loads the steps and becomes ``airflow scheduler``; further words of the command line are passed on."""
    from geoml_ops.settings import be_quiet

    be_quiet()  # before the tools: some of them read their switches when they are loaded
    from airflow.__main__ import main as airflow

    from geoml_ops.steps import ingest, publish, train, watch

    assert all((ingest, publish, train, watch))
    sys.argv = ["airflow", "scheduler", *sys.argv[1:]]
    airflow()


if __name__ == "__main__":
    main()
