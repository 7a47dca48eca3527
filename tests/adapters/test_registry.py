from __future__ import annotations

import json
from pathlib import Path

import pytest

from geoml_ops.adapters import registry as registries
from geoml_ops.adapters.registry import FILES, GOLDEN, NOUN, Registry, Release, files_of, open_bundle
from geoml_ops.core.errors import NotFound, Refused, TooLarge, Unavailable
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
    assert sorted(p.name for p in opened.folder.iterdir()) == sorted((*FILES, GOLDEN)) == sorted(files_of(bundle))
    assert opened.golden == (opened.folder / GOLDEN).read_bytes()


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
    since = ("contract", "covariates", "values", "golden", "overlap_px")
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


@pytest.mark.parametrize("name", [*FILES, GOLDEN])
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


@pytest.mark.parametrize("name", [*FILES, GOLDEN])
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


def test_a_bundle_of_before_golden_tiles_opens_without(mlflow_server: str, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "made", golden="none")
    publish(mlflow_server, "plain", tmp_path / "made", bundle)
    with Registry(mlflow_server) as registry:
        opened = registry.fetch(registry.release("plain", "champion"), tmp_path / "kept")
    assert (opened.bundle, opened.golden, files_of(bundle)) == (bundle, None, FILES)


def test_bundles_of_one_graph_are_kept_beside_each_other(mlflow_server: str, tmp_path: Path) -> None:
    one = write_bundle(tmp_path / "one")
    other = write_bundle(tmp_path / "other", evaluation="evaluation-00000000000000bb", golden="wrong")
    assert (one.file.sha256, one.id) != (one.file.sha256, other.id)
    assert one.file.sha256 == other.file.sha256
    with Registry(mlflow_server) as registry:
        for made, bundle in ((tmp_path / "one", one), (tmp_path / "other", other)):
            publish(mlflow_server, "twins", made, bundle)
            registry.fetch(registry.release("twins", "champion"), tmp_path / "kept")
    for bundle in (one, other):
        opened = open_bundle(tmp_path / "kept", bundle.file.sha256, bundle.id)
        assert opened.bundle == bundle
        assert bundle.golden is not None
        assert len(opened.golden or b"") == bundle.golden.size


def test_no_more_is_read_than_the_bundle_says_nor_for_longer_than_allowed(
    mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_bundle(tmp_path / "made")
    with (tmp_path / "made" / GOLDEN).open("ab") as stream:
        stream.write(bytes(1 << 20))
    publish(mlflow_server, "swollen", tmp_path / "made", bundle)
    with Registry(mlflow_server) as registry:
        release = registry.release("swollen", "champion")
        assert bundle.golden is not None
        with pytest.raises(TooLarge, match=f"exceeds {bundle.golden.size} bytes"):
            registry.fetch(release, tmp_path / "kept")
        monkeypatch.setattr(registries, "MAX_DOWNLOAD_S", 0.0)
        with pytest.raises(Unavailable, match="did not come in 0 s"):
            registry.fetch(release, tmp_path / "kept")
    assert not (tmp_path / "kept").exists() or not list((tmp_path / "kept").iterdir())


@pytest.mark.parametrize(
    "tags",
    [{"geoml.id": "../../elsewhere"}, {"geoml.graph_sha256": "/etc"}, {"geoml.id": "bundle-0000\n"}],
    ids=["id leads out", "digest leads out", "id is cut"],
)
def test_names_that_are_no_names_of_bundles_are_refused(mlflow_server: str, tags: dict[str, str]) -> None:
    from mlflow import MlflowClient

    client, model = MlflowClient(mlflow_server), f"named-{abs(hash(str(tags)))}"
    client.create_registered_model(model)
    run = client.create_run("0")
    proper = {"geoml.id": "bundle-00000000000000aa", "geoml.graph_sha256": "0" * 64}
    source = f"{run.info.artifact_uri}/x"
    version = client.create_model_version(model, source, run_id=run.info.run_id, tags=proper | tags)
    client.set_registered_model_alias(model, "champion", version.version)
    with Registry(mlflow_server) as registry, pytest.raises(Refused, match="was not published by this platform"):
        registry.release(model, "champion")
