from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from geoml_ops.adapters.configs import read_experiment, read_policy, read_yaml
from geoml_ops.core.bands import contract_for
from geoml_ops.core.errors import BadInput, NotFound
from geoml_ops.core.policy import Policy
from geoml_ops.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_the_files_that_ship_are_valid_and_agree_with_the_contract() -> None:
    experiment = read_experiment(ROOT / "dags" / "experiments" / "landcover.yaml")
    policy = read_policy(ROOT / "monitoring" / "policies.yaml")
    contract = contract_for(experiment.sensor)
    assert [name for name in experiment.features if name.startswith("B")] == [
        name for name in contract.names if name in experiment.features
    ], "features stand in the order of the contract"
    assert len({entry.colour for entry in experiment.classes.values()}) == len(experiment.classes)
    assert policy.new_version == "first"


def test_the_defaults_of_the_machine_point_at_files_that_are_there() -> None:
    places = Settings().places()
    assert places.experiment.is_file()
    assert places.policy.is_file()


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("name: [", "is not YAML"),
        ("\xff\xfe".encode("latin-1"), "is not YAML"),
        ("", "valid policy"),
        ("- a\n- b\n", "valid policy"),
        ("name: a\nsurprise: 1\n", "surprise: Extra inputs"),
        ("name: a\ndrift: {distance: -1.0}\n", "drift.distance"),
        ("name: a\ndrift: {distance: wide}\n", "drift.distance"),
        ("name: a\nnew_version: sometimes\n", "new_version"),
        ("name: 5\n", "name"),
        ("name: !!python/object/apply:os.getcwd []\n", "is not YAML"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path: Path, text: str | bytes, fact: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadInput, match=fact) as caught:
        read_policy(path)
    assert str(path) in str(caught.value)


def test_an_absent_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no experiment file"):
        read_experiment(tmp_path / "none.yaml")


def test_a_key_left_out_has_its_default(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("name: small\n")
    assert read_policy(path) == Policy(name="small")


def test_content_and_not_spelling_names_a_configuration(tmp_path: Path) -> None:
    shipped = ROOT / "monitoring" / "policies.yaml"
    copy = tmp_path / "copy.yaml"
    copy.write_text(yaml.safe_dump(yaml.safe_load(shipped.read_text())))
    assert read_yaml(copy, Policy).id == read_policy(shipped).id


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\nb: *a\n",
        "name: one\nname: two\n",
        "2020-01-01: x\nname: y\n",
        "name: " + "[" * 20_000,
        "every_days: " + "9" * 5000,
        "alarms_per_year: 1e9\nname: x\ncalibration: {alarms_per_year: 1.0e9}\n",
        "name: x\ncalibration: {chart: {m: 1000000000}}\n",
    ],
)
def test_a_policy_of_a_stranger_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(BadInput):
        read_policy(path)


def test_a_folder_is_no_policy(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_policy(tmp_path)
