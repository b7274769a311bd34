"""The eight promises of the README, each shown on one small real dataset: Blender, photographs, Ray, shards.

The rooms' own tests go deeper (tests/faults kills at every point of the work); these say that the whole keeps
its word.
"""

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from pairbridge.datagen.assets.catalogue import AssetsConfig
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.shards.reader import open_shard, open_shards
from pairbridge.datagen.shards.sample import decode_field
from pairbridge.datagen.sourcing.placement import split_by_hash
from pairbridge.datagen.sourcing.sources import build_catalogue
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.reading.config_files import find_config, load_config
from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.loader import MixedLoader
from pairbridge.training.data.mix_config import MixConfig
from tests.support.foreign_readers import assert_readable_by_huggingface, assert_readable_by_webdataset
from tests.support.smoke_run import SmokeRun, watched

pytestmark = pytest.mark.render

# Only these may differ between two runs: clocks, hosts and attempts, and Blender's own words.
NOT_PROMISED = ("ledger.jsonl", "logs", ".lock", ".shards.index")


def quiet(snapshot: object) -> None:
    """Progress that nobody watches."""


def smoke_config() -> DatasetConfig:
    return load_config(find_config("datasets", "smoke"), DatasetConfig)


@pytest.fixture(scope="module")
def dataset(smoke_run: SmokeRun) -> Path:
    """The shipped smoke dataset, made undisturbed by two workers. Tests must not change it."""
    return smoke_run.folder / "dataset"


def promised_bytes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in named.items()
        if not name.startswith(NOT_PROMISED)
    }


def samples(folder: Path, recipe: str, split: str) -> list[dict]:
    """Every sample, decoded: field -> value."""
    found = []
    for shard in open_shards(folder, recipe, split):
        for index in range(len(shard.keys)):
            found.append({field: decode_field(field, data) for field, data in shard.read(index).items()})
    return found


def all_metas(folder: Path) -> list[dict]:
    return [
        json.loads(shard.read(index)["meta.json"])
        for path in sorted((folder / "shards").glob("*.tar"))
        for shard in [open_shard(path)]
        for index in range(len(shard.keys))
    ]


def test_planned(dataset: Path, tmp_path: Path, ray_address: str) -> None:
    # One worker, other shards in between: what a sample is must not depend on who made it when.
    again = tmp_path / "dataset"
    generate(smoke_config(), again, workers=1, on_progress=quiet)
    assert promised_bytes(again) == promised_bytes(dataset)


def test_exactly_once(dataset: Path, tmp_path: Path, ray_address: str) -> None:
    out = tmp_path / "dataset"
    command = [sys.executable, "-c", "from pairbridge.pipelines.cli import main; main()"]
    command += ["generate", "smoke", "--out", str(out), "--workers", "2", "--address", ray_address]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while not list(out.glob("staging/*/*/*.json")):
        assert driver.poll() is None, "the driver ended before it could be killed"
        assert time.monotonic() < deadline, "no group was staged in time"
        time.sleep(0.01)
    driver.send_signal(signal.SIGKILL)
    assert driver.wait() == -signal.SIGKILL
    assert len(list(out.glob("shards/*.json"))) < len(list(dataset.glob("shards/*.json")))
    generate(smoke_config(), out, workers=2, on_progress=quiet)
    assert promised_bytes(out) == promised_bytes(dataset)


def test_nothing_silent(dataset: Path, tmp_path: Path) -> None:
    report = verify_dataset(dataset, decode=True)
    assert report.ok, report.findings
    manifest = json.loads((dataset / "dataset.json").read_text())
    planned = sum(
        split["pairs"] for recipe in manifest["recipes"].values() for split in recipe["splits"].values()
    )
    quarantined = len((dataset / "quarantine.jsonl").read_text().splitlines())
    assert len(all_metas(dataset)) + quarantined == planned

    # One flipped bit in one tar must not pass.
    damaged = tmp_path / "dataset"
    subprocess.run(["cp", "-r", str(dataset), str(damaged)], check=True)
    tar = sorted((damaged / "shards").glob("*.tar"))[0]
    content = bytearray(tar.read_bytes())
    content[len(content) // 2] ^= 1
    tar.write_bytes(content)
    findings = verify_dataset(damaged).findings
    assert [finding for finding in findings if tar.stem in finding.where]


def test_every_sample_opens_elsewhere(dataset: Path, tmp_path: Path) -> None:
    # All splits and recipes, through webdataset and Hugging Face datasets, counted against dataset.json.
    samples_on_disk = len(all_metas(dataset))
    assert assert_readable_by_webdataset(dataset) == samples_on_disk
    assert assert_readable_by_huggingface(dataset, tmp_path, streaming=False) == samples_on_disk


def test_no_leakage(dataset: Path) -> None:
    splits_of: dict[str, set[str]] = {}
    for meta in all_metas(dataset):
        for asset in meta["assets"]:
            splits_of.setdefault(asset["id"].partition(":")[0], set()).add(meta["split"])
    assert len(splits_of) > 5
    assert {asset: splits for asset, splits in splits_of.items() if len(splits) > 1} == {}


def test_no_leakage_by_content(tmp_path: Path) -> None:
    # One photograph under names that alone would lie in different splits, as itself and as what phones and
    # web pages make of it.
    names = [f"img_{number:04d}" for number in range(40)]
    image = Image.fromarray(skimage.data.chelsea())
    for number, name in enumerate(names):
        size = [side // (1 + number % 3) for side in image.size]
        image.resize(size).save(tmp_path / f"{name}.jpg", quality=60 + number)
    assert {split_by_hash(name.replace("_", "-")) for name in names} == {"train", "validation", "test"}
    catalogue = build_catalogue(AssetsConfig(embedded=False, photos=(tmp_path,)), None)
    assert len(catalogue.assets) == 40
    assert len({(asset.split, asset.group) for asset in catalogue.assets}) == 1


def test_exact_mixing(dataset: Path) -> None:
    weights = {"rendered": "0.6", "photos": "0.3", "holes": "0.1"}
    recipes = {"rendered": "relighting", "photos": "photos", "holes": "removal"}
    mix = MixConfig(
        sources=[
            {"name": name, "path": str(dataset), "recipe": recipes[name], "weight": float(weight)}
            for name, weight in weights.items()
        ]
    )
    buckets = BucketSequence.single(size=32, batch_size=7)
    loader = MixedLoader(mix, run_root=dataset.parent, buckets=buckets, workers=2)
    delivered: Counter[str] = Counter()
    batches = loader.batches(start=0)
    for number in range(1, 21):
        delivered.update(next(batches)["source_names"])
        for name, weight in weights.items():
            assert abs(delivered[name] - Fraction(weight) * 7 * number) < 1, (number, name)


def test_artefacts_on_the_source_side(dataset: Path) -> None:
    changed = 0
    for split in ("train", "test"):
        for pair in samples(dataset, "photos", split):
            outside = pair["mask.png"] == 0
            assert outside.any()
            # Byte for byte: what no foreground covers is the photograph, in the source too.
            np.testing.assert_array_equal(pair["source.png"][outside], pair["target.png"][outside])
            changed += int((pair["source.png"] != pair["target.png"]).any())
    assert changed, "no photograph was relit"
    # Two relightings of one crop have one and the same target: the photograph knows nothing of either.
    targets: dict[tuple, set[str]] = {}
    for pair in samples(dataset, "photos", "train"):
        params = json.loads(pair["meta.json"]["params"])
        place = (pair["meta.json"]["assets"][0]["id"], json.dumps(params["crop"], sort_keys=True))
        targets.setdefault(place, set()).add(hashlib.sha256(pair["target.png"].tobytes()).hexdigest())
    assert all(len(found) == 1 for found in targets.values())


def test_truth_in_labels(dataset: Path) -> None:
    for meta in all_metas(dataset):
        if meta["kind"] == "relighting_swap":
            assert (meta["mask_source"], meta["relighter"]) == ("rendered alpha", "rendered")
        elif meta["kind"] == "photo_relighting":
            assert meta["mask_source"] == "grabcut (stand-in)"
            assert meta["relighter"] == "colour-transfer (stand-in)"
        assert all(asset["licence"] and asset["sha256"] for asset in meta["assets"])


def test_offline(smoke_run: SmokeRun, tmp_path: Path) -> None:
    # The watch itself must work, or the test could not fail.
    log = tmp_path / "outside.log"
    probe = "import socket; socket.create_connection(('192.0.2.77', 80), timeout=1)"
    tried = subprocess.run([sys.executable, "-c", probe], env=watched(tmp_path, log), capture_output=True)
    assert tried.returncode == 1
    assert "192.0.2.77" in log.read_text()

    assert (smoke_run.folder / "report.html").is_file()
    assert not smoke_run.outside_log.exists(), smoke_run.outside_log.read_text()
