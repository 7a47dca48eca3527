"""The service, put together: settings, a follower, the guard, the addresses. Run it with

``python -m bentoml serve serving.service:Landcover``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import bentoml

from geoml_ops.domain.swap import Limits
from geoml_ops.platform import jail
from geoml_ops.platform.drivers import close_drivers
from geoml_ops.settings import Settings, be_quiet

# GDAL reads this once, when it is first loaded: before anything here imports rasterio.
close_drivers()

from serving.follow import Follower  # noqa: E402
from serving.guard import Guard, Rules  # noqa: E402
from serving.keys import Keyring  # noqa: E402
from serving.metrics import Metrics  # noqa: E402
from serving.monitoring import watch_text  # noqa: E402
from serving.quotas import Quotas  # noqa: E402
from serving.recording import Recorder  # noqa: E402
from serving.routes import Routes  # noqa: E402
from serving.watching import watch_all  # noqa: E402

be_quiet()
settings = Settings()
follower = Follower(
    settings.places(), settings.poll_s, device=settings.device, limits=Limits(times=settings.slower_times)
)
metrics = Metrics(follower.readiness, lambda: follower.state.model)
follower.heard = metrics.happened
recorder = Recorder(
    settings.places(),
    keep_tiles_share=settings.keep_tiles_share,
    keep_log_days=settings.keep_log_days,
    watcher=metrics,
)
routes = Routes(settings, follower, recorder)
quotas = Quotas(settings.places().workspace / "service" / "quotas.json")


@bentoml.service(
    workers=1,
    # The guard has limits of its own; these are never reached.
    traffic={"timeout": 86_400},
    logging={"access": {"enabled": False}},
)
class Landcover:
    """Answers for the champion of the registry, whichever that is at the moment."""

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def begin(self) -> None:
        """Makes the folders ready, follows the registry, and goes on with jobs that were left."""
        quotas.start()
        follower.start()
        recorder.start()
        routes.start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def end(self) -> None:
        """Stops what works in the background."""
        routes.stop()
        recorder.stop()
        follower.stop()
        quotas.stop()

    async def __metrics__(self, text: str) -> str:
        """Returns BentoML's own metrics, those of the service, and what the watch wrote last."""
        return text + metrics.text() + watch_text(settings.places().dashboard)

    async def __is_ready__(self) -> bool:
        """True when a model can answer."""
        return follower.readiness()[0]


def health() -> Mapping[str, Any]:
    """Returns what /healthz says beside that the process lives."""
    version = jail.available()
    words = f"Landlock {version}" if version else "none: this kernel has no Landlock, the container has to confine"
    return {"uploads_confined_by": words}


service = cast(Any, Landcover)  # the decorator's type hides what it returns (BentoML 1.4.39)
_app = routes.app()


class _Guarded(type(service)):  # type: ignore[misc]
    """The same service, with the guard before BentoML's own layers and the requests it lets through past them.

    BentoML 1.4.39 puts middlewares that are added to a service behind its own, which count slow senders as work,
    measure and time every request in a task of its own; and it answers more addresses than are meant here.
    """

    __slots__ = ()

    def to_asgi(self, *arguments: Any, **options: Any) -> Guard:
        """Returns what the server serves."""
        bento = super().to_asgi(*arguments, **options)

        async def behind(scope: Any, receive: Any, send: Any) -> None:
            own = scope["type"] == "http" and scope["path"] != "/metrics"
            await (_app if own else bento)(scope, receive, send)

        guard = Guard(
            behind,
            rules=Rules(
                max_bytes=int(settings.max_upload_mb * 2**20),
                request_s=settings.request_s,
                shows_dashboard=settings.airflow_url,
            ),
            readiness=follower.readiness,
            keyring=Keyring(settings.keys),
            quotas=quotas,
            health=health,
            observe=metrics.observe,
        )
        watch_all(metrics, guard, recorder, routes, jail.available())
        return guard


service.__class__ = _Guarded
