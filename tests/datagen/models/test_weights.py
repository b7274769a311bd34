"""The manifest of models, and what is found of them in a folder. Files are written as the real ones are."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.models.weights.model_terms import model_terms
from pairbridge.datagen.models.weights.weight_folders import (
    FileState,
    WeightsError,
    check_model,
    find_model,
    identity,
    require,
    weights_root,
    write_record,
)
from pairbridge.datagen.models.weights.weights_manifest import MODELS, Model, WeightFile


def test_the_manifest_pins_what_it_can_and_names_no_code() -> None:
    assert len({model.id for model in MODELS}) == len(MODELS)
    for model in MODELS:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", model.id)
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", model.repository)
        assert model.revision is None or re.fullmatch(r"[0-9a-f]{40}", model.revision)
        assert model.licence
        assert any(file.path.endswith(".safetensors") for file in model.files)
        for file in model.files:
            assert Path(file.path).suffix in (".safetensors", ".json", ".txt")
            assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
    assert not find_model("RMBG-2.0").commercial_use


def a_model(*files: WeightFile, revision: str | None = "a" * 40) -> Model:
    return Model(
        id="tiny",
        purpose="tests",
        repository="nobody/tiny",
        revision=revision,
        licence="CC0-1.0",
        files=files,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    (folder / "part").mkdir(parents=True)
    save_file({"weight": np.arange(12, dtype=np.float32)}, folder / "part" / "model.safetensors")
    (folder / "config.json").write_text('{"width": 4}')
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


FILES = (
    WeightFile(path="config.json"),
    WeightFile(path="merges.txt"),
    WeightFile(path="part/model.safetensors"),
)


def findings(model: Model, root: Path) -> dict[str, FileState]:
    return {checked.file.path: checked.finding for checked in check_model(model, root).files}


def test_a_checksum_proves_and_its_absence_is_said(folder: Path) -> None:
    known = WeightFile(
        path="part/model.safetensors", sha256=file_sha256(folder / "part" / "model.safetensors")
    )
    model = a_model(*FILES[:2], known)
    assert findings(model, folder.parent) == {
        "config.json": FileState.PRESENT,
        "merges.txt": FileState.PRESENT,
        "part/model.safetensors": FileState.PROVEN,
    }
    assert check_model(model, folder.parent).is_usable


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("config.json", b"<html>not found</html>", "no JSON"),
        ("merges.txt", b"", "empty"),
        ("part/model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git-lfs"),
        ("part/model.safetensors", (8).to_bytes(8, "little") + b"not json", "header cannot be read"),
        ("part/model.safetensors", b"", "no safetensors"),
    ],
)
def test_damage_is_found_without_a_checksum(folder: Path, path: str, content: bytes, message: str) -> None:
    (folder / path).write_bytes(content)
    checked = {check.file.path: check for check in check_model(a_model(*FILES), folder.parent).files}
    assert checked[path].finding is FileState.DAMAGED
    assert message in checked[path].detail
    assert sum(check.finding is FileState.DAMAGED for check in checked.values()) == 1
    assert not check_model(a_model(*FILES), folder.parent).is_usable


def test_a_download_that_broke_off_is_found(folder: Path) -> None:
    path = folder / "part" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    assert findings(a_model(*FILES), folder.parent)["part/model.safetensors"] is FileState.DAMAGED


def test_another_file_than_the_manifests_is_damage(folder: Path) -> None:
    wrong = a_model(WeightFile(path="config.json", sha256="0" * 64))
    assert findings(wrong, folder.parent) == {"config.json": FileState.DAMAGED}


def test_missing_files_and_files_that_could_run_are_listed(folder: Path) -> None:
    (folder / "merges.txt").unlink()
    (folder / "part" / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "modeling.py").write_text("import os")
    found = check_model(a_model(*FILES), folder.parent)
    assert [check.file.path for check in found.files if check.finding is FileState.MISSING] == ["merges.txt"]
    assert found.unsafe == ("modeling.py", "part/pytorch_model.bin")
    assert not found.is_absent
    assert check_model(a_model(*FILES), folder.parent / "elsewhere").is_absent


def test_what_was_fetched_is_remembered_and_held_against_the_files(folder: Path) -> None:
    model = a_model(*FILES)
    write_record(model, folder, "b" * 40)
    assert set(findings(model, folder.parent).values()) == {FileState.PROVEN}
    assert identity(folder, "config.json", "part/model.safetensors") == "tiny@bbbbbbbbbbbb"
    (folder / "config.json").write_text('{"width": 8}')
    assert findings(model, folder.parent)["config.json"] is FileState.DAMAGED
    assert identity(folder, "config.json", "part/model.safetensors").startswith("tiny@sha256:")


def test_an_identity_changes_with_any_byte(folder: Path) -> None:
    names = [file.path for file in FILES]
    first = identity(folder, *names)
    assert first == identity(folder, *reversed(names))
    (folder / "merges.txt").write_text("#version: 0.3\n")
    assert identity(folder, *names) != first


def test_an_unreadable_record_is_said(folder: Path) -> None:
    (folder / "fetched.json").write_text(json.dumps({"revision": "b" * 40}))
    with pytest.raises(WeightsError, match=r"fetched\.json cannot be read"):
        check_model(a_model(*FILES), folder.parent)


def test_lacks_and_unknown_ids_name_the_next_step(folder: Path) -> None:
    require(folder, "config.json", "merges.txt")
    with pytest.raises(WeightsError, match=r"lacks vae/config\.json") as lack:
        require(folder, "config.json", "vae/config.json")
    assert "pairbridge weights fetch tiny" in lack.value.remedy
    with pytest.raises(WeightsError) as unknown:
        find_model("BiRefNet-mating")
    assert "'BiRefNet-matting'" in unknown.value.remedy


def test_the_folder_is_the_environments_else_beside_the_user(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAIRBRIDGE_WEIGHTS", raising=False)
    assert weights_root() == tmp_path / "weights"
    monkeypatch.setenv("PAIRBRIDGE_WEIGHTS", str(tmp_path / "models"))
    assert weights_root() == tmp_path / "models"


def test_terms_of_named_models_are_known_with_the_non_commercial_first() -> None:
    recipes = [
        {"matting": {"kind": "birefnet", "model": "BiRefNet"}, "relighter": {"kind": "colour_transfer"}},
        {"matting": {"kind": "birefnet", "model": "RMBG-2.0"}, "relighter": None},
        {"relighter": {"kind": "iclight_fc", "base": "my-own-base", "offsets": "ic-light"}},
    ]
    terms = model_terms(recipes)
    assert [model for model, _ in terms] == ["RMBG-2.0", "BiRefNet", "ic-light", "my-own-base"]
    assert terms[0][1].startswith("NON-COMMERCIAL: CC BY-NC 4.0")
    assert terms[1][1] == "MIT"
    assert terms[3][1] == "terms not known to pairbridge"
    assert model_terms([{"matting": {"kind": "grabcut"}}, {}]) == []
