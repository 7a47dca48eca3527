from __future__ import annotations

import json
from pathlib import Path

import pytest

from geoml_ops.adapters.registry import FILES, NOUN, Registry, Release, open_bundle
from geoml_ops.core.errors import NotFound, Refused, Unavailable
from geoml_ops.core.flow import Bundle
from tests.answering import publish, write_bundle
from tests.conftest import free_port

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def published(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Bundle, int]:
    folder = tmp_path_factory.mktemp("bundle")
    bundle = write_bundle(folder)
    return mlflow_server, "registry-test", bundle, publish(mlflow_server, "registry-test", folder, bundle)


def test_the_alias_leads_to_the_files(published: tuple[str, str, Bundle, int], tmp_path: Path) -> None:
    uri, model, bundle, number = published
    with Registry(uri) as registry:
        release = registry.release(model, "champion")
        assert release == Release(model, number, bundle.id, bundle.file.sha256)
        opened = registry.fetch(release, tmp_path)
    assert opened.bundle == bundle
    assert opened.folder == tmp_path / bundle.file.sha256
    assert sorted(p.name for p in opened.folder.iterdir()) == sorted(FILES)


def test_a_kept_bundle_needs_no_registry(published: tuple[str, str, Bundle, int], tmp_path: Path) -> None:
    uri, model, bundle, _ = published
    with Registry(uri) as registry:
        release = registry.release(model, "champion")
        registry.fetch(release, tmp_path)
    with Registry(f"http://127.0.0.1:{free_port()}") as gone:
        assert gone.fetch(release, tmp_path).bundle == bundle
        with pytest.raises(Unavailable, match="does not answer"):
            gone.release(model, "champion")


OLDER = {
    "sensor": "sentinel-2-l1c", "bands": ["B02", "B03", "B04", "B08"], "pixel_m": 10.0,
    "radiometry": {"scale": 1e-4, "offset_dn": 0.0, "nodata": 0.0},
}  # fmt: skip


def test_a_bundle_of_an_older_schema_opens_and_an_altered_one_is_refused_whatever_was_altered(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "made")
    folder = tmp_path / bundle.file.sha256
    (tmp_path / "made").rename(folder)
    since = ("contract", "covariates", "values")
    for schema, lacks in ((1, (*since, "applicability", "conformal")), (2, since)):
        old = {name: value for name, value in bundle.as_json().items() if name not in lacks} | OLDER
        old["schema"] = schema
        (folder / NOUN).write_text(json.dumps(old))
        known = Bundle.from_json(old)
        opened = open_bundle(tmp_path, bundle.file.sha256, known.id)
        assert opened.bundle.contract == bundle.contract
        altered: list[object] = [{n: v for n, v in old.items() if n != lost} for lost in (*OLDER, "schema", "features")]
        altered += [old | {"sensor": "nobody's"}, old | {"bands": 5}, old | {"bands": ["B99"]}, old | {"pixel_m": []}]
        altered += [old | {"radiometry": None}, old | {"schema": 9}, [], None, "text"]
        for content in altered:
            (folder / NOUN).write_text(json.dumps(content))
            with pytest.raises(Refused):
                open_bundle(tmp_path, bundle.file.sha256, known.id)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_on_disk_is_refused_then_repaired(
    published: tuple[str, str, Bundle, int], tmp_path: Path, name: str
) -> None:
    uri, model, bundle, _ = published
    with Registry(uri) as registry:
        release = registry.release(model, "champion")
        kept = registry.fetch(release, tmp_path).folder / name
        content = bytearray(kept.read_bytes())
        content[len(content) // 2] ^= 1
        kept.write_bytes(content)
        with pytest.raises(Refused):
            open_bundle(tmp_path, release.graph_sha256, release.bundle)
        assert registry.fetch(release, tmp_path).bundle == bundle
        open_bundle(tmp_path, release.graph_sha256, release.bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_artifact_is_refused_and_not_kept(mlflow_server: str, tmp_path: Path, name: str) -> None:
    bundle = write_bundle(tmp_path / "made")
    content = bytearray((tmp_path / "made" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "made" / name).write_bytes(content)
    model = f"damaged-{name.replace('.', '-')}"
    publish(mlflow_server, model, tmp_path / "made", bundle)
    with Registry(mlflow_server) as registry, pytest.raises(Refused, match=r"altered|not a bundle"):
        registry.fetch(registry.release(model, "champion"), tmp_path / "kept")
    assert not (tmp_path / "kept" / bundle.file.sha256).exists()


def test_no_model_and_no_alias_are_said_apart_from_no_registry(
    published: tuple[str, str, Bundle, int],
) -> None:
    uri, model, _, _ = published
    with Registry(uri) as registry:
        with pytest.raises(NotFound, match="no champion of 'nobody'"):
            registry.release("nobody", "champion")
        with pytest.raises(NotFound, match="no challenger"):
            registry.release(model, "challenger")


def test_a_version_of_foreign_make_is_refused(mlflow_server: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(mlflow_server)
    client.create_registered_model("foreign")
    run = client.create_run("0")
    version = client.create_model_version("foreign", f"{run.info.artifact_uri}/x", run_id=run.info.run_id)
    client.set_registered_model_alias("foreign", "champion", version.version)
    with Registry(mlflow_server) as registry, pytest.raises(Refused, match=r"geoml\.id"):
        registry.release("foreign", "champion")
