"""`pairbridge import` and `photos` as a user meets them, and a training on a mix of everything there is."""

import json
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pairbridge.datagen.assets.catalogue import AssetsConfig
from pairbridge.datagen.sourcing.sources import build_catalogue
from pairbridge.pipelines.reading.config_files import load_config
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.loader import MixedLoader
from pairbridge.training.data.mix_config import MixConfig
from tests.support.foreign_datasets import hole, picture, sample_members, write_folders, write_rord, write_tar
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

FOLDERS = """\
name: removal
root: data/folders
layout:
  kind: folders
  task: removal
  fields: {source: "before/{id}.jpg", target: "after/{id}.png", mask: "mask/{id}_mask.png"}
splits: {kind: all, split: train}
"""
TARS = """\
name: edits
root: data/tars
layout: {kind: tars, fields: {source: edit.jpg, target: jpg}}
splits: {kind: all, split: train}
"""
MIX = """\
seed: 4
sources:
  - {name: rendered, path: "run:dataset", recipe: relight, weight: 0.5}
  - {name: folder, path: imports/removal, recipe: removal, weight: 0.3}
  - {name: tars, path: imports/edits, recipe: edits, weight: 0.2}
"""
TRAINING = {
    "steps": 12,
    "batch_size": 5,
    "size": 16,
    "denoiser": {"widths": [8, 16], "head_width": 8, "norm_groups": 4},
    "timesteps": {"kind": "discrete", "times": [0.0], "weights": [1.0]},
    "optimiser": {"warmup_images": 0},
    "threads": 1,
    "loader_workers": 0,
    "log_every": 3,
    "watch": {"trackers": ()},
    "checkpoint_every": 4,
}


@pytest.fixture
def workplace(tmp_path: Path, pairbridge) -> Path:
    """Rendered-style shards, an imported folder, imported tars, and a mix of the three."""
    rendered = TinyRecipe(groups={"train": 7}, size_WH=(24, 24))
    TinyDataset(recipes={"relight": rendered}, holes={"relight-train-00000003": "dark"}).write(
        tmp_path / "run" / "dataset"
    )
    write_folders(tmp_path / "data" / "folders", [f"scene{number}/a" for number in range(9)])
    for number in range(2):
        members = [member for key in "abc" for member in sample_members(key)]
        write_tar(tmp_path / "data" / "tars" / f"{number}.tar", members)
    for name, text in (("folders", FOLDERS), ("tars", TARS), ("mix", MIX)):
        (tmp_path / f"{name}.yaml").write_text(text)
    for config, name in (("folders", "removal"), ("tars", "edits")):
        status, out, _ = pairbridge(
            "import", tmp_path / f"{config}.yaml", "--out", tmp_path / "imports" / name
        )
        assert status == 0, out
    return tmp_path


def test_a_mix_of_shards_an_imported_folder_and_foreign_tars_trains_with_exact_shares(
    workplace: Path, monkeypatch
) -> None:
    mix = load_config(workplace / "mix.yaml", MixConfig)
    consumed: list[tuple[int, list[str]]] = []
    deliver = MixedLoader.batches

    def recorded(self, start: int = 0):
        for batch in deliver(self, start):
            consumed.append((batch["number"], batch["keys"]))
            assert not batch["substitutes"]
            yield batch

    monkeypatch.setattr(MixedLoader, "batches", recorded)
    config = TrainingConfig.model_validate(TRAINING)
    run = workplace / "run"
    result = train(config, mix, run / "train", run_root=run)
    assert result.step == 12
    weights = {"rendered": Fraction(1, 2), "folder": Fraction(3, 10), "tars": Fraction(1, 5)}
    counts: Counter[str] = Counter()
    for number, keys in consumed[:12]:
        counts.update(key.split("/")[0] for key in keys)
        assert sum(counts.values()) == 5 * (number + 1)
        for name, weight in weights.items():
            # Within 1 - 1/(2k-2) samples of the share, at every batch.
            assert abs(counts[name] - weight * 5 * (number + 1)) <= Fraction(3, 4)
    assert counts == {"rendered": 30, "folder": 18, "tars": 12}
    # Each source was read round and round, and no sample came twice before all had come once.
    for name, size in (("rendered", 13), ("folder", 9), ("tars", 6)):
        keys = [key for _, batch in consumed[:12] for key in batch if key.startswith(f"{name}/")]
        assert set(Counter(keys).values()) <= {len(keys) // size, len(keys) // size + 1}
        assert len(set(keys)) == size
    lines = (run / "train" / "stats.jsonl").read_text().splitlines()
    assert np.isfinite([json.loads(line)["loss"] for line in lines if "loss" in json.loads(line)]).all()


def test_a_resumed_training_draws_what_an_undisturbed_one_does(workplace: Path) -> None:
    mix = load_config(workplace / "mix.yaml", MixConfig)
    options = {"run_root": workplace / "run", "buckets": BucketSequence.single(size=16, batch_size=5)}
    whole = MixedLoader(mix, **options)
    batches = whole.batches()
    expected = [next(batches)["keys"] for _ in range(9)]
    resumed = MixedLoader(mix, **options)
    assert resumed.digests == whole.digests
    batches = resumed.batches(start=5)
    assert [next(batches)["keys"] for _ in range(4)] == expected[5:]


def test_status_and_verify_know_an_import(workplace: Path, pairbridge) -> None:
    status, out, _ = pairbridge("status", workplace / "imports" / "edits")
    assert status == 0
    assert "import edits of " in out
    assert ": source, target" in out
    assert "train              6 pairs" in out
    assert pairbridge("verify", workplace / "imports" / "removal", "--decode")[0] == 0
    (workplace / "data" / "folders" / "after" / "scene3" / "a.png").unlink()
    status, out, _ = pairbridge("verify", workplace / "imports" / "removal")
    assert status == 1
    assert "scene3-a: after/scene3/a.png: No such file" in out
    assert "1 problems" in out


def test_inspect_shows_an_imported_pair(workplace: Path, pairbridge) -> None:
    folder, out = workplace / "imports" / "removal", workplace / "seen"
    status, printed, _ = pairbridge("inspect", folder, "--key", "scene3-a", "--out", out)
    assert status == 0
    shown, _, rest = printed.partition("\n}")
    meta = json.loads(shown + "}")
    assert meta["files"]["target"]["path"] == "after/scene3/a.png"
    assert meta["mask_source"] == "imported"
    assert "scene3-a is pair 4 of 9 of train" in rest
    target = np.array(Image.open(out / "scene3-a.target.png"))
    assert (target == picture("scene3/a after")).all()
    assert (np.array(Image.open(out / "scene3-a.mask.png")) == hole("scene3/a") * 255).all()
    assert np.array(Image.open(out / "scene3-a-sheet.png")).shape[1] == 1280
    status, _, err = pairbridge("inspect", folder, "--key", "scene3-b", "--out", out)
    assert status == 1
    assert "did you mean 'scene3-a'?" in err


def test_a_shipped_import_takes_a_root_and_tells_what_it_left_out(tmp_path: Path, pairbridge) -> None:
    write_rord(tmp_path / "My RORD: copy")
    command = ("import", "rord", "--root", tmp_path / "My RORD: copy", "--out", tmp_path / "out", "--hash")
    status, out, _ = pairbridge(*command)
    assert status == 2
    assert "train              8 pairs of 4 independent groups" in out
    assert "5 found and not used" in out
    assert "v00_0002: clean plate" in out
    index = (tmp_path / "out" / "index" / "train.jsonl").read_text().splitlines()
    assert all(len(json.loads(line)["files"]["source"]["sha256"]) == 64 for line in index)
    status, _, err = pairbridge("import", "rord", "--out", tmp_path / "none")
    assert status == 1
    assert "is not a folder" in err
    status, _, err = pairbridge("import", "rrod", "--out", tmp_path / "none")
    assert status == 1
    assert "did you mean 'rord'?" in err


def test_a_wrong_key_of_an_import_is_named_with_its_line(tmp_path: Path, pairbridge) -> None:
    (tmp_path / "it.yaml").write_text(FOLDERS.replace("  task:", "  tusk:"))
    status, _, err = pairbridge("import", tmp_path / "it.yaml", "--out", tmp_path / "out")
    assert status == 1
    assert "it.yaml, line 5" in err
    assert "tusk" in err


def test_photos_finds_what_datasets_should_leave_out(tmp_path: Path, pairbridge) -> None:
    draw = np.random.default_rng(0)
    for name in ("one", "two"):
        small = Image.fromarray(draw.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        small.resize((80, 60), Image.Resampling.BICUBIC).save(tmp_path / f"{name}.png")
    Image.open(tmp_path / "one.png").resize((40, 30)).save(tmp_path / "copy.jpg", quality=60)
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    (tmp_path / "catalogue.yaml").write_text("# mine\ncopy: {split: test, licence: CC0-1.0}\n")
    status, out, _ = pairbridge("photos", tmp_path, "--min-side", "30")
    assert status == 2
    assert "2 of 4 photographs are fit for use" in out
    assert "copy: near-duplicate of one" in out
    assert "broken: image broken.jpg cannot be used" in out
    assert pairbridge("photos", tmp_path, "--exclude", "--min-side", "30")[0] == 2
    assert "# mine" in (tmp_path / "catalogue.yaml").read_text()
    status, out, _ = pairbridge("photos", tmp_path)
    assert status == 0
    assert "2 of 2" in out
    config = AssetsConfig(embedded=False, photos=(tmp_path,))
    assert [asset.id for asset in build_catalogue(config, None).assets] == ["one", "two"]
