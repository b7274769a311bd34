"""The photograph recipe from a YAML file to verified shards, in Ray, as published: BiRefNet and IC-Light.

The photographs are the embedded ones; the models are tiny and random, in the real layouts.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.models.weights.weight_folders import WeightsError
from pairbridge.datagen.shards.reader import open_shards
from pairbridge.datagen.shards.sample import decode_field
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.reading.config_files import load_config
from tests.datagen.models.birefnet_models import red_finder_state, write_folder
from tests.support.tiny_iclight import write_weights

DATASET = """\
name: relit
seed: 3
assets: {families: []}
groups_per_shard: 2
recipes:
  fbc:
    kind: photo_relighting
    groups: {train: 3}
    pairs_per_group: 2
    size_WH: [48, 64]
    background_from: {photo: 1}
    background: inpainted
    min_structure: -1     # random networks keep no edges
    matting: {kind: birefnet, weights: models/BiRefNet-matting, size_WH: [64, 64], max_doubt: 1}
    relighter:
      kind: iclight_fbc
      weights_root: models
      base: tiny-base
      resolution: 64
      steps: 2
      batch: 2
      second_pass: {scale: 1.5}
  fc:
    kind: photo_relighting
    groups: {train: 1}
    size_WH: [48, 64]
    background_from: {photo: 1}
    min_structure: -1
    matting: {kind: birefnet, weights: models/BiRefNet-matting, size_WH: [64, 64], max_doubt: 1}
    relighter:
      {kind: iclight_fc, weights_root: models, base: tiny-base, resolution: 64, steps: 2, second_pass: null}
  gated:
    kind: photo_relighting
    groups: {train: 1}
    size_WH: [48, 64]
    background_from: {photo: 1}
    relighter:
      {kind: iclight_fbc, weights_root: models, base: tiny-base, resolution: 64, steps: 2, second_pass: null}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    write_weights(folder / "models")
    write_folder(folder / "models" / "BiRefNet-matting", red_finder_state())
    (folder / "dataset.yaml").write_text(DATASET)
    return folder


def config_of(folder: Path, *overrides: str) -> DatasetConfig:
    return load_config(folder / "dataset.yaml", DatasetConfig, overrides)


def files(out: Path) -> dict[str, bytes]:
    names = ["dataset.json", "quarantine.jsonl", *(f"shards/{path.name}" for path in out.glob("shards/*"))]
    return {name: (out / name).read_bytes() for name in sorted(names)}


@pytest.fixture(scope="module")
def dataset(folder: Path, ray_address: str) -> Path:
    result = generate(config_of(folder), folder / "one", workers=1, on_progress=lambda _: None)
    return result.dataset_dir


def samples(dataset: Path, recipe: str) -> list[dict]:
    return [
        {field: decode_field(field, data) for field, data in shard.read(index).items()}
        for shard in open_shards(dataset, recipe, "train")
        for index in range(len(shard))
    ]


def test_every_planned_pair_is_there_and_names_its_models(dataset: Path) -> None:
    assert verify_dataset(dataset, decode=True).ok
    for recipe, name, count in (("fbc", "ic-light-fbc", 6), ("fc", "ic-light-fc", 1)):
        made = samples(dataset, recipe)
        assert len(made) == count
        for sample in made:
            meta = sample["meta.json"]
            assert meta["relighter"] == name
            assert meta["mask_source"] == "BiRefNet-matting"
            assert meta["versions"]["diffusers"]
            params = json.loads(meta["params"])
            assert params["relighter"]["revision"].startswith("ic-light@sha256:")
            assert params["relighter"]["settings"]["steps"] == 2
            assert params["matting"]["revision"].startswith("BiRefNet-matting@sha256:")
            assert params["matting"]["settings"]["size_WH"] == [64, 64]
            assert [params[tool]["is_stand_in"] for tool in ("matting", "relighter")] == [False, False]
            assert params["background"]["foreground"] in ("as_is", "inpainted", "none")
            source, target, mask = (sample[f"{part}.png"] for part in ("source", "target", "mask"))
            assert (source[mask == 0] == target[mask == 0]).all()
            assert np.abs(source[mask > 200].astype(int) - target[mask > 200]).mean() > 4


def test_the_card_states_the_terms_of_the_models(dataset: Path) -> None:
    card = (dataset / "README.md").read_text()
    assert "| BiRefNet-matting | MIT |" in card
    assert "| ic-light | not stated by its authors" in card


def test_what_lost_its_edges_is_quarantined_by_name(dataset: Path) -> None:
    lines = (dataset / "quarantine.jsonl").read_text().splitlines()
    assert [json.loads(line)["key"] for line in lines] == ["gated-train-00000000"]
    assert "the relit foreground lost its edges: structure" in lines[0]


def test_no_file_of_the_dataset_knows_where_the_weights_lay(dataset: Path, folder: Path) -> None:
    for name, content in files(dataset).items():
        assert str(folder).encode() not in content, name


@pytest.mark.long
def test_more_workers_and_other_places_change_no_byte(dataset: Path, folder: Path, ray_address: str) -> None:
    moved = Path(shutil.copytree(folder / "models", folder / "elsewhere"))
    overrides = [f"recipes.{recipe}.relighter.weights_root={moved}" for recipe in ("fbc", "fc", "gated")]
    overrides += [
        f"recipes.{recipe}.matting.weights={moved / 'BiRefNet-matting'}" for recipe in ("fbc", "fc")
    ]
    again = generate(config_of(folder, *overrides), folder / "two", workers=2, on_progress=lambda _: None)
    assert files(again.dataset_dir) == files(dataset)


def test_missing_weights_stop_the_run_and_say_what_to_do(
    folder: Path, ray_address: str, tmp_path: Path, capsys
) -> None:
    config = config_of(folder, "recipes.fbc.relighter.base=realistic-vision-v51")
    with pytest.raises(WeightsError, match="realistic-vision-v51 lacks") as stopped:
        generate(config, tmp_path / "out", workers=1, on_progress=lambda _: None)
    assert "pairbridge weights fetch realistic-vision-v51" in stopped.value.remedy
    # Before anything was used.
    shown = capsys.readouterr().err
    assert "uses BiRefNet-matting: MIT" in shown
    assert "uses ic-light: not stated by its authors" in shown
    assert "uses realistic-vision-v51: CreativeML OpenRAIL-M" in shown
    assert "uses tiny-base: terms not known to pairbridge" in shown


def test_a_relighter_that_wants_a_gpu_is_refused_where_ray_offers_none(
    folder: Path, ray_address: str, tmp_path: Path
) -> None:
    config = config_of(folder, "recipes.fc.relighter.device=cuda", "recipes.fc.relighter.precision=half")
    with pytest.raises(ConfigError, match=r"1 workers want 1 GPU \(Ray offers 0\)"):
        generate(config, tmp_path / "out", workers=1, on_progress=lambda _: None)
