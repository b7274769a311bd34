"""Commands given what they cannot use: each names it, and says what to type instead."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from pairbridge.datagen.shards.object_store import ObjectStore
from tests.support.small_run import write_small_run
from tests.support.tiny_dataset import TinyDataset, TinyRecipe
from tests.support.toy_relighting import write_toy_dataset


@pytest.fixture
def config(tmp_path) -> Path:
    write_small_run(tmp_path / "configs")
    return tmp_path / "configs" / "dataset.yaml"


# Every command that makes something, with arguments that end before anything else is looked at.
MAKERS = {
    "generate": ("generate", "smoke", "--out", "{}"),
    "run": ("run", "smoke", "--out", "{}"),
    "sweep": ("sweep", "relighting-small", "--out", "{}"),
    "inspect": ("inspect", ".", "--out", "{}"),
    "page": ("inspect", ".", "--page", "{}"),
    "import": ("import", "rord", "--out", "{}"),
    "export": ("export", ".", "--to", "folders", "--out", "{}"),
    "merge": ("merge", ".", "--out", "{}"),
    "assets": ("assets", "check", ".", "--out", "{}"),
    "train": ("train", "smoke", "--mix", "smoke", "--run", "{}"),
    "evaluate": ("evaluate", "smoke", "--run", "{}"),
    "translate": ("translate", "model", "a.png", "--out", "{}/b.png"),
    "publish": ("publish", "run", "{}"),
    "export-model": ("export-model", "run", "--to", "onnx", "--out", "{}"),
}


@pytest.mark.parametrize("arguments", MAKERS.values(), ids=MAKERS)
def test_what_cannot_be_written_is_refused_before_anything_is_done(
    pairbridge, tmp_path, monkeypatch, arguments
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("dangling").symlink_to("nowhere")
    cases = {"file": "is a file", "file/below": "is a file", "dangling": "is a link to nothing"}
    for place, fault in cases.items():
        status, _, err = pairbridge(*(argument.format(place) for argument in arguments))
        assert (status, fault in err) == (1, True), (place, err)
        assert "Traceback" not in err
    assert sorted(os.listdir()) == ["dangling", "file"]


def test_a_folder_of_another_user_is_refused(pairbridge, tmp_path, monkeypatch) -> None:
    # Root may write anywhere: the system is asked, and its answer is what is tested.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    status, _, err = pairbridge("inspect", tmp_path, "--out", tmp_path / "new")
    assert status == 1
    assert f"{tmp_path} does not take files from this user" in err


def test_an_url_without_its_second_slash_is_no_folder(pairbridge, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (("generate", "smoke", "--out"), ("verify",), ("export", "--out")):
        status, _, err = pairbridge(*command, "s3:/bucket/x")
        assert (status, "write s3://bucket/x" in err) == (1, True), err
    assert os.listdir() == []


def test_what_belongs_on_a_disk_takes_no_url(pairbridge) -> None:
    for command in (("inspect", ".", "--out"), ("generate", "smoke", "--preview", 1, "--out")):
        status, _, err = pairbridge(*command, "memory://bucket/x")
        assert (status, "is the URL of an object store" in err) == (1, True), err


def test_a_dry_run_for_a_store_says_what_is_there(pairbridge, config, finished_run) -> None:
    status, out, _ = pairbridge("generate", config, "--out", "memory://bucket/none", "--dry-run")
    assert (status, "dry run: nothing was made" in out, "go on from" in out) == (0, True, False)
    store = ObjectStore("memory://bucket/begun")
    for path in finished_run.dataset_dir.rglob("*.json*"):
        store.put(path.relative_to(finished_run.dataset_dir).as_posix(), path)
    status, out, _ = pairbridge("generate", config, "--out", "memory://bucket/begun", "--dry-run")
    assert (status, "go on from" in out) == (0, True)
    arguments = ("generate", config, "--out", "memory://bucket/begun", "--dry-run", "--set", "seed=8")
    status, _, err = pairbridge(*arguments)
    assert (status, "seed: 5 there, 8 now" in err) == (1, True)


@pytest.mark.parametrize("command", ["verify", "status", "inspect"])
def test_a_dataset_that_does_not_exist_is_named(pairbridge, tmp_path, command: str) -> None:
    status, out, err = pairbridge(command, tmp_path / "nowhere")
    assert (status, out) == (1, "")
    assert "nowhere does not exist" in err


def test_a_folder_without_a_dataset_has_no_tables(pairbridge, tmp_path) -> None:
    status, out, _ = pairbridge("verify", tmp_path)
    assert status == 1
    assert "recipe" not in out


def test_an_unfinished_dataset_is_told_of_in_a_line_a_gap(pairbridge, tmp_path) -> None:
    dataset = TinyDataset(recipes={"a": TinyRecipe(groups={"train": 12})}).write(tmp_path / "tiny")
    shards = sorted((dataset / "shards").glob("*.tar"))
    assert len(shards) > 3
    for tar in shards[1:]:
        tar.unlink()
        tar.with_suffix(".json").unlink()
    status, out, err = pairbridge("verify", dataset)
    assert status == 1
    assert f"the {len(shards) - 2} shards after it are not committed" in " ".join((out + err).split())
    assert sum(tar.stem in out + err for tar in shards) == 1


def test_a_field_that_a_dataset_does_not_store_is_no_target_of_latents(pairbridge, tmp_path) -> None:
    dataset = write_toy_dataset(tmp_path / "toy", "relighting", {"train": 4})
    status, out, err = pairbridge("encode", dataset, "--training", "smoke", "--target", "colour")
    assert status == 1
    assert "has no target colour; it has" in " ".join(err.split())
    assert "Traceback" not in out + err


def test_assets_check_names_what_is_no_folder(pairbridge) -> None:
    status, _, err = pairbridge("assets", "check", "nowhere")
    assert status == 1
    assert "nowhere is neither a folder nor a dataset's YAML file" in err


def test_a_value_that_is_almost_one_of_a_list_is_suggested(pairbridge, config) -> None:
    cases = {
        "recipes.relit.kind=photo_relightin": "did you mean 'photo_relighting'?",
        "assets.families=mug": "should be a list, such as [mug]",
    }
    for setting, said in cases.items():
        status, _, err = pairbridge("plan", config, "--set", setting)
        assert (status, said in err) == (1, True), err


def test_one_folder_needs_no_list(pairbridge, config, tmp_path) -> None:
    status, _, err = pairbridge("plan", config, "--set", "assets.hdris=nowhere")
    assert (status, "nowhere is neither a folder nor a file" in err) == (1, True)
    (tmp_path / "empty").mkdir()
    assert pairbridge("plan", config, "--set", f"assets.hdris={tmp_path / 'empty'}")[0] == 0


def test_a_setting_of_a_part_is_named_as_it_was_given(pairbridge) -> None:
    for setting in ("mix.x=1", "training.steps=many"):
        status, _, err = pairbridge("run", "smoke", "--dry-run", "--set", setting)
        assert (status, f"--set {setting}: " in err) == (1, True), err


def test_what_an_estimate_needs_is_not_ignored_by_a_plan(pairbridge, config) -> None:
    status, _, err = pairbridge("plan", config, "--nodes", 3)
    assert (status, "add --cost" in err) == (2, True)


def test_a_plan_is_printed_as_json(pairbridge, config) -> None:
    status, out, _ = pairbridge("plan", config, "--json")
    plan = yaml.safe_load(out)
    assert status == 0
    assert sum(stream["pairs"] for stream in plan["streams"]) == 24
    assert plan["group"]["keys"]


def test_a_shipped_configuration_is_copied_once(pairbridge, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert pairbridge("config", "copy", "dataset", "smoke")[:2] == (0, "smoke.yaml\n")
    assert pairbridge("plan", "smoke.yaml")[0] == 0
    status, _, err = pairbridge("config", "copy", "dataset", "smoke")
    assert (status, "is there already" in err) == (1, True)


def test_a_guidance_without_its_reference_says_which_key_gives_it(pairbridge, tmp_path) -> None:
    arguments = ("--config", "foreground-colours", "--out", tmp_path / "b.png")
    status, _, err = pairbridge("guide", tmp_path, tmp_path / "a.png", *arguments)
    assert status == 1
    assert "--set losses.0.reference=FILE" in err


def test_files_that_are_all_in_train_are_told_of(pairbridge, config, tmp_path) -> None:
    (tmp_path / "maps").mkdir()
    radiance = np.random.default_rng(0).uniform(0.1, 1, (32, 64, 3)).astype(np.float32)
    cv2.imwrite(str(tmp_path / "maps" / "mine.hdr"), radiance)
    (tmp_path / "maps" / "catalogue.yaml").write_text("mine: {split: train}\n")
    _, _, err = pairbridge("plan", config, "--set", f"assets.hdris={tmp_path / 'maps'}")
    assert "all 1 of your hdri files are in the train split" in err
