"""The service, put together: settings, a follower, the guard, the addresses. Run it with

``python -m bentoml serve serving.service:Landcover``
"""

from __future__ import annotations

from typing import Any, cast

import bentoml

from geoml_ops.settings import Settings, be_quiet
from serving.follow import Follower
from serving.guard import Guard
from serving.routes import Routes

be_quiet()
settings = Settings()
follower = Follower(settings.places(), settings.poll_s)
routes = Routes(settings, follower)


@bentoml.service(
    workers=1,
    traffic={"timeout": 600, "max_concurrency": 64},
    logging={"access": {"enabled": False}},
)
class Landcover:
    """Answers for the champion of the registry, whichever that is at the moment."""

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def begin(self) -> None:
        """Makes the folders ready and starts following the registry."""
        routes.prepare()
        follower.start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def end(self) -> None:
        """Stops following."""
        follower.stop()

    async def __is_ready__(self) -> bool:
        """True when a model can answer."""
        return follower.readiness()[0]


service = cast(Any, Landcover)  # the decorator's type hides what it returns (BentoML 1.4.39)
service.mount_asgi_app(routes.app(), path="/", name="geoml")
service.add_asgi_middleware(Guard, max_bytes=int(settings.max_upload_mb * 2**20), readiness=follower.readiness)
