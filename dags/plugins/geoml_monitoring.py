"""The monitoring dashboard inside Airflow's pages: a view that embeds its address, and nothing else of it."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from geoml_ops.settings import Settings


class GeomlMonitoring(AirflowPlugin):
    """Adds an entry to Airflow's menu; the dashboard is asked for by the browser, under the service's address."""

    name = "geoml_monitoring"
    external_views: list[Any] = [  # noqa: RUF012  Airflow reads it from the class
        {
            "name": "Monitoring",
            "href": Settings().dashboard_url,
            "destination": "nav",
            "category": "browse",
            "url_route": "geoml-monitoring",
        }
    ]
