"""The model registry over HTTP: which model is champion, and its files, each checked by digest.

Only MLflow's REST interface is used, so that a service needs no training tool. A registered version
holds three files (:data:`FILES`), golden tiles where its bundle names some, and two tags: ``geoml.id``,
the bundle, and ``geoml.graph_sha256``. What the bundle says of a file bounds how much of it is read.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import ValidationError

from geoml_ops.core.errors import BadInput, NotFound, Refused, TooLarge, Unavailable
from geoml_ops.core.flow import Bundle
from geoml_ops.platform.files import whole_file, whole_folder

GRAPH, NOUN, REFERENCE, GOLDEN = "model.onnx", "bundle.json", "reference.json", "golden.tiles"
FILES = (GRAPH, REFERENCE, NOUN)
"""Of every bundle; :func:`files_of` says which one has."""
MAX_BYTES = 256 * 2**20
MAX_NOUN_BYTES = 16 * 2**20
MAX_DOWNLOAD_S = 300.0
# What content of an older schema, altered so that it cannot be brought to today's, fails with.
_NO_NOUN = (ValueError, ValidationError, LookupError, TypeError, AttributeError, BadInput)
_BUNDLE, _SHA256 = re.compile(r"bundle-[0-9a-f]{16}"), re.compile(r"[0-9a-f]{64}")
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True)
class Release:
    """One number of a registered model, as the registry names it.

    Attributes:
        model: name of the registered model.
        number: its version number there.
        bundle: id of the bundle it holds.
        graph_sha256: digest of its graph.
    """

    model: str
    number: int
    bundle: str
    graph_sha256: str


@dataclass(frozen=True)
class Opened:
    """A bundle whose files are what their digests say.

    Attributes:
        bundle: the noun.
        graph: bytes of the ONNX file.
        folder: where the files are.
        golden: bytes of its golden tiles; None where it has none.
    """

    bundle: Bundle
    graph: bytes
    folder: Path
    golden: bytes | None = None


def files_of(bundle: Bundle) -> tuple[str, ...]:
    """Returns the names of the files that a bundle is opened from."""
    return (*FILES, GOLDEN) if bundle.golden else FILES


class Registry:
    """A client of one tracking server; use it as a context, or call :meth:`close`."""

    def __init__(self, tracking_uri: str, *, timeout_s: float = 10.0) -> None:
        # trust_env: a proxy variable must not send a loopback address away from this machine.
        self._http = httpx.Client(base_url=tracking_uri, timeout=timeout_s, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def release(self, model: str, alias: str) -> Release:
        """Returns the release that an alias points at.

        Raises:
            NotFound: there is no such model or alias.
            Unavailable: the registry does not answer.
            Refused: the version was not registered by this platform.
        """
        answer = self._get("/api/2.0/mlflow/registered-models/alias", {"name": model, "alias": alias})
        content = _json(answer)
        if answer.status_code in (400, 404) and content.get("error_code") in _ABSENT:
            raise NotFound(f"The registry has no {alias} of {model!r}.", "train and publish a model")
        if answer.status_code != 200:
            raise Unavailable(f"The registry answered {answer.status_code} when asked for the {alias} of {model!r}.")
        version = content.get("model_version", {})
        tags = {tag["key"]: tag["value"] for tag in version.get("tags", [])}
        try:
            release = Release(model, int(version["version"]), tags["geoml.id"], tags["geoml.graph_sha256"])
            # Both become names of folders; no bundle is named otherwise.
            if not (_BUNDLE.fullmatch(release.bundle) and _SHA256.fullmatch(release.graph_sha256)):
                raise KeyError("a proper geoml.id and geoml.graph_sha256")
            return release
        except KeyError as error:
            raise Refused(
                f"Version {version.get('version')} of {model!r} lacks {error}: it was not published by this platform.",
                "publish the model with `geoml publish`",
            ) from None

    def fetch(self, release: Release, bundles: Path) -> Opened:
        """Returns a release's bundle from ``bundles``, fetched first where it is not there whole.

        Bundles of one graph share its folder: a later one lies in a folder of its own inside, so that the one that
        serves can be opened again whatever is tried meanwhile.

        Raises:
            Refused: a file is not what its digest says; nothing of it is kept.
            TooLarge: a file is larger than its bundle says, or than is read at all.
            Unavailable: the registry does not answer, or not in :data:`MAX_DOWNLOAD_S`.
        """
        try:
            return open_bundle(bundles, release.graph_sha256, release.bundle)
        except (NotFound, Refused):
            pass
        files = self._files(release)
        _checked(files, release.graph_sha256, release.bundle)
        folder = bundles / release.graph_sha256
        if _holds_another(bundles, release):
            folder = folder / release.bundle
        with whole_folder(folder) as part:
            for name, content in files.items():
                (part / name).write_bytes(content)
        for name, content in files.items():
            if not (folder / name).exists() or (folder / name).read_bytes() != content:
                with whole_file(folder / name) as repaired:
                    repaired.write_bytes(content)
        return open_bundle(bundles, release.graph_sha256, release.bundle)

    def _files(self, release: Release) -> dict[str, bytes]:
        end = time.monotonic() + MAX_DOWNLOAD_S
        files = {NOUN: self._file(release, NOUN, MAX_NOUN_BYTES, end)}
        # Only a bundle that is the right one may say how large its files are.
        for name, size in _sizes(_noun(files[NOUN], release.bundle)).items():
            files[name] = self._file(release, name, min(size, MAX_BYTES), end)
        return files

    def _file(self, release: Release, name: str, most: int, end: float) -> bytes:
        question = {"name": release.model, "version": str(release.number), "path": name}
        content = bytearray()
        try:
            with self._http.stream("GET", "/model-versions/get-artifact", params=question) as answer:
                if answer.status_code != 200:
                    raise Unavailable(
                        f"The registry answered {answer.status_code} for {name} of {release.model} {release.number}.",
                        "look at the registry's log; the artifact may have been deleted",
                    )
                for chunk in answer.iter_bytes():
                    content += chunk
                    if len(content) > most:
                        raise TooLarge(f"{name} of {release.model} {release.number} exceeds {most} bytes.")
                    if time.monotonic() > end:
                        raise Unavailable(f"{release.model} {release.number} did not come in {MAX_DOWNLOAD_S:.0f} s.")
        except httpx.HTTPError as error:
            raise _silent(error) from None
        return bytes(content)

    def _get(self, path: str, question: Mapping[str, str]) -> httpx.Response:
        try:
            return self._http.get(path, params=question)
        except httpx.HTTPError as error:
            raise _silent(error) from None


def open_bundle(bundles: Path, graph_sha256: str, bundle: str) -> Opened:
    """Returns a bundle from the local folder of bundles, every file checked by its digest.

    Raises:
        NotFound: it is not there whole.
        Refused: a file was altered.
    """
    folder = bundles / graph_sha256
    if (folder / bundle).is_dir():
        folder = folder / bundle
    try:
        files = {NOUN: (folder / NOUN).read_bytes()}
        known = _noun(files[NOUN], bundle)
        files |= {name: (folder / name).read_bytes() for name in files_of(known) if name != NOUN}
    except OSError:
        raise NotFound(
            f"The bundle {bundle} is not kept on this machine.", "let the service reach the registry"
        ) from None
    return Opened(_checked(files, graph_sha256, bundle), files[GRAPH], folder, files.get(GOLDEN))


def _holds_another(bundles: Path, release: Release) -> bool:
    """Says whether the folder of a release's graph holds another bundle of the same graph, whole."""
    try:
        other = Bundle.from_json(json.loads((bundles / release.graph_sha256 / NOUN).read_bytes())).id
        return other != release.bundle and bool(open_bundle(bundles, release.graph_sha256, other))
    except (*_NO_NOUN, OSError, NotFound, Refused):
        return False


def _noun(content: bytes, bundle: str) -> Bundle:
    try:
        noun = Bundle.from_json(json.loads(content))
    except _NO_NOUN:
        raise Refused(f"{NOUN} of {bundle} is not a bundle this platform wrote.", "publish the model again") from None
    _require_same(bundle, NOUN, noun.id, bundle)
    return noun


def _sizes(noun: Bundle) -> dict[str, int]:
    """Returns how many bytes each file has beside the noun."""
    sizes = {REFERENCE: noun.reference.size, GRAPH: noun.file.size}
    return {**sizes, GOLDEN: noun.golden.size} if noun.golden else sizes


def _checked(files: Mapping[str, bytes], graph_sha256: str, bundle: str) -> Bundle:
    noun = _noun(files[NOUN], bundle)
    found = {name: _sha256(content) for name, content in files.items()}
    rules = [
        (f"the digest of {GRAPH}", found[GRAPH], graph_sha256),
        (f"the digest of {GRAPH} in {NOUN}", noun.file.sha256, graph_sha256),
        (f"the digest of {REFERENCE}", found[REFERENCE], noun.reference.sha256),
    ]
    if noun.golden:
        rules.append((f"the digest of {GOLDEN}", found[GOLDEN], noun.golden.sha256))
    for what, is_so, should in rules:
        _require_same(bundle, what, is_so, should)
    return noun


def _require_same(bundle: str, what: str, is_so: str, should: str) -> None:
    if is_so != should:
        raise Refused(
            f"A file of {bundle} was altered: {what} is {is_so[:23]}, it should be {should[:23]}.",
            "publish the model again",
        )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _silent(error: httpx.HTTPError) -> Unavailable:
    return Unavailable(
        f"The registry does not answer ({type(error).__name__}).", "start it, or wait; it is asked again"
    )


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
