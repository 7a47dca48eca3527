"""A small client of the service, for programs and the command line."""

from __future__ import annotations

from pathlib import Path

import httpx

from geoml_ops.core.errors import BadInput, Unavailable
from geoml_ops.platform.files import whole_file


def classify(url: str, raster: Path, out: Path, *, timeout_s: float = 600.0) -> dict[str, str]:
    """Sends a GeoTIFF to the service, writes the map to ``out`` and returns what answered.

    Args:
        url: base address of the service.
        raster: a GeoTIFF with named bands and declared radiometry.
        out: where the map goes; whole or absent.
        timeout_s: how long to wait for the answer.

    Returns:
        ``prediction``, ``number`` and ``bundle`` as the service names them, ``outside_share`` (0 to 1) and
        ``mean_set_size`` where the model knows them, and ``map``, the file.

    Raises:
        BadInput: the service refused the raster; its own sentence is passed on.
        Unavailable: the service does not answer or has no champion.
    """
    try:
        with raster.open("rb") as stream:
            answer = httpx.post(
                f"{url.rstrip('/')}/classify",
                content=stream.read(),
                headers={"Content-Type": "image/tiff"},
                timeout=timeout_s,
            )
    except httpx.HTTPError as error:
        raise Unavailable(f"The service at {url} does not answer: {type(error).__name__}.", "geoml up") from None
    if answer.status_code != 200:
        try:
            sentence = answer.json()["error"]["message"]
        except (ValueError, KeyError, TypeError):
            sentence = f"The service answered {answer.status_code}."
        raise (Unavailable if answer.status_code >= 500 else BadInput)(sentence)
    with whole_file(out) as part:
        part.write_bytes(answer.content)
    names = {"prediction": "X-Prediction-Id", "number": "X-Model-Number", "bundle": "X-Bundle-Id"}
    trust = {"outside_share": "X-Outside-Share", "mean_set_size": "X-Mean-Set-Size"}
    known = {key: answer.headers[header] for key, header in trust.items() if header in answer.headers}
    return {key: answer.headers.get(header, "") for key, header in names.items()} | known | {"map": str(out)}
