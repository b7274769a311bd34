"""Folders of assets that vanish, files that cannot be opened once, assets that change under a run: no sample
is lost, and none is made of other bytes than those that were hashed.
"""

import errno
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import ray
from launching import Launcher, promised
from one_process import made_in_one_process

from pairbridge.datagen.assets.files_in_use import AssetChanged
from pairbridge.datagen.core.errors import AssetError, FileUnreadable
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.sourcing.sources import build_catalogue
from pairbridge.pipelines.attempts.policy import Limits
from pairbridge.pipelines.generation.driver import AssetsFailEverywhere, InputUnreadable
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.shelves.ledger import read_ledger
from pairbridge.pipelines.workers.worker import GroupWorker
from tests.support.sidecars import read_sidecars
from tests.support.tiny_photos import disc_photo, write_photo_assets

# Ray's workers cannot import a test module: its worker classes travel as code.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])

QUICK = Limits(unreadable_pause_s=0.1)
PHOTOS = 6


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """Photographs and environment maps, one of them a Radiance file; every test works on a copy."""
    root = write_photo_assets(tmp_path_factory.mktemp("inputs"))
    for number in range(PHOTOS):
        cv2.imwrite(str(root / "photos" / f"p{number}.png"), disc_photo(f"p{number}")[..., ::-1])
    pins = "".join(f"\np{number}: {{split: train, licence: CC0-1.0, author: me}}" for number in range(PHOTOS))
    with (root / "photos" / "catalogue.yaml").open("a") as stream:
        stream.write(pins)
    light = rng(0, "light-train").uniform(0.1, 2, (16, 32, 3)).astype(np.float32)
    cv2.imwrite(str(root / "hdris" / "light-train.hdr"), light)
    (root / "hdris" / "light-train.exr").unlink()
    return root


@pytest.fixture
def inputs(folders, tmp_path) -> Path:
    return Path(shutil.copytree(folders, tmp_path / "inputs"))


def removal(inputs: Path, **execution: int) -> DatasetConfig:
    """Forty samples of photographs alone."""
    recipe = {"kind": "photo_removal", "groups": {"train": 40}, "size_WH": [32, 32]}
    return config_of(inputs, recipe, **execution)


def relighting(inputs: Path) -> DatasetConfig:
    """Photographs before a Radiance file."""
    recipe = {
        "kind": "photo_relighting",
        "groups": {"train": 4},
        "size_WH": [32, 32],
        "background_from": {"hdri": 1},
    }
    return config_of(inputs, recipe)


def config_of(inputs: Path, recipe: dict, **execution: int) -> DatasetConfig:
    assets = {"embedded": False, "photos": [inputs / "photos"], "hdris": [inputs / "hdris"]}
    return DatasetConfig.model_validate(
        {
            "name": "p",
            "seed": 1,
            "groups_per_shard": 10,
            "assets": assets,
            "recipes": {"r": recipe},
            "execution": execution,
        }
    )


def run(config: DatasetConfig, out: Path, worker_class: type = GroupWorker) -> Path:
    generate(config, out, workers=2, on_progress=lambda _: None, worker_class=worker_class, limits=QUICK)
    return out


@pytest.fixture(scope="module")
def calm(folders, tmp_path_factory, ray_address) -> Path:
    """The forty samples of a run in which nothing happened."""
    return run(removal(folders), tmp_path_factory.mktemp("calm") / "out")


def faults(out: Path) -> list[str]:
    return [event["fault"] for event in read_ledger(out) if event["event"] == "fault"]


def assert_is_whole(out: Path, samples: int) -> None:
    assert sum(sidecar.count for sidecar in read_sidecars(out / "shards")) == samples
    assert (out / "quarantine.jsonl").read_bytes() == b""
    assert verify_dataset(out, decode=True).ok


def assets_of(worker: GroupWorker, kind: str) -> Path:
    """The folder of the user's assets of a kind."""
    return next(asset.path.parent for asset in worker.order.plan.catalogue.of(kind, "train"))


class UnmountingWorker(GroupWorker):
    """At group 7 the photographs are gone, for a moment."""

    def run(self, shard, group):
        folder = assets_of(self, "photo")
        if group == 7 and not folder.with_name("was-away").exists():
            folder.with_name("was-away").touch()
            folder.rename(folder.with_name("away"))
            threading.Timer(1.0, folder.with_name("away").rename, [folder]).start()
        return super().run(shard, group)


def test_a_folder_that_is_unmounted_for_a_moment_costs_time_and_no_sample(inputs, tmp_path, calm):
    out = run(removal(inputs), tmp_path / "out", UnmountingWorker)
    assert set(faults(out)) == {"unreadable"}
    assert promised(out) == promised(calm)
    assert_is_whole(out, 40)


class VanishingWorker(GroupWorker):
    """The environment maps go, and do not come back."""

    def run(self, shard, group):
        shutil.rmtree(assets_of(self, "hdri"), ignore_errors=True)
        return super().run(shard, group)


@pytest.mark.long
def test_an_environment_map_that_vanishes_stops_the_run_by_name(folders, inputs, tmp_path, ray_address):
    config, out = relighting(inputs), tmp_path / "out"
    limits = Limits(unreadable_pause_s=0.001, tick_s=0.02)
    with pytest.raises(InputUnreadable, match=r"light-train\.hdr cannot be read: No such file"):
        generate(
            config, out, workers=1, on_progress=lambda _: None, worker_class=VanishingWorker, limits=limits
        )
    assert (out / "quarantine.jsonl").read_bytes() == b""
    shutil.copytree(folders / "hdris", inputs / "hdris")
    run(config, out)
    assert_is_whole(out, 4)


class OverwritingWorker(GroupWorker):
    """At group 7 someone saves another file of the same size under the name of each photograph."""

    def run(self, shard, group):
        if group == 7:
            for path in assets_of(self, "photo").glob("*.png"):
                data = bytearray(path.read_bytes())
                data[-20:] = bytes(20)
                path.write_bytes(data)
        return super().run(shard, group)


def test_assets_that_are_overwritten_under_a_run_stop_it_by_name(folders, inputs, tmp_path, calm):
    config, out = removal(inputs), tmp_path / "out"
    with pytest.raises(AssetChanged, match=r"asset \w+ has changed: .*photos/\w+\.png has the sha256"):
        run(config, out, OverwritingWorker)
    assert (out / "quarantine.jsonl").read_bytes() == b""
    shutil.rmtree(inputs / "photos")
    shutil.copytree(folders / "photos", inputs / "photos")
    run(config, out)
    assert promised(out) == promised(calm)
    assert_is_whole(out, 40)


class BrokenDecoderWorker(GroupWorker):
    """On this machine no photograph can be decoded, although every byte of them is right."""

    def open(self):
        info = super().open()

        def refuse(asset_id):
            path = self.workbench.catalogue.get(asset_id).path
            raise AssetError(f"image {path.name} cannot be used: it is damaged", remedy="replace it")

        self.workbench.photo = refuse
        return info


@pytest.mark.long
def test_assets_that_fail_one_after_another_stop_the_run_and_none_is_quarantined(inputs, tmp_path, calm):
    config, out = removal(inputs, stop_after_given_up=4), tmp_path / "out"
    with pytest.raises(AssetsFailEverywhere, match=r"image \w+\.png cannot be used: it is damaged"):
        run(config, out, BrokenDecoderWorker)
    assert (out / "quarantine.jsonl").read_bytes() == b""
    run(config, out)
    assert promised(out) == promised(calm)
    assert_is_whole(out, 40)


def test_one_open_that_fails_is_a_fault_of_the_machine(inputs, tmp_path, failing_files):
    config = removal(inputs)
    # Facts about the files are in the cache after this: the run below opens them only to make samples.
    none, sound = made_in_one_process(config, tmp_path / "calm", {})
    assert none == [None] * 20
    # First a photograph is opened to be hashed, then to be decoded.
    for at, error in ((1, errno.ESTALE), (2, errno.EMFILE)):
        faulty = failing_files.environment(inputs / "photos" / "p", "R", at=at, how=error)
        found, made = made_in_one_process(config, tmp_path / str(at), faulty)
        assert [has_failed for *_, has_failed in failing_files.operations()].count(True) == 1
        assert found.count("unreadable") == 1
        assert found.count(None) == 19
        assert made == sound


@pytest.mark.long
@pytest.mark.parametrize(("error", "at"), [(errno.EIO, 1), (errno.EMFILE, 2), (errno.ESTALE, 3)])
def test_one_open_that_fails_costs_no_sample(inputs, tmp_path, calm, failing_files, monkeypatch, error, at):
    """A driver with a Ray of its own, whose workers have the driver's environment.

    A worker opens a photograph to hash it, and again to decode it.
    """
    launcher, out = Launcher(None), tmp_path / "out"
    # Facts about the files are in the cache after this: the driver opens none.
    build_catalogue(removal(inputs).assets, None)
    faulty = failing_files.environment(inputs / "photos" / "a.png", "R", at=at, how=error)
    for name, value in faulty.items():
        monkeypatch.setenv(name, value)
    assert launcher.run(removal(inputs), out, limits={"unreadable_pause_s": 0.1}) == 0, launcher.log(out)
    assert [has_failed for *_, has_failed in failing_files.operations()].count(True) == 1
    assert set(faults(out)) == {"unreadable"}
    assert promised(out) == promised(calm)


def test_a_file_that_cannot_be_read_while_planning_is_not_left_out(inputs, tmp_path, failing_files):
    """In a process of its own, whose first reading of one photograph fails."""

    script = (
        "import sys; from pathlib import Path\n"
        "from pairbridge.datagen.assets.catalogue import AssetsConfig\n"
        "from pairbridge.datagen.sourcing.sources import build_catalogue\n"
        "from pairbridge.datagen.core.errors import FileUnreadable\n"
        "for attempt in range(2):\n"
        "    try:\n"
        "        found = build_catalogue(AssetsConfig(embedded=False, photos=(Path(sys.argv[1]),)), None)\n"
        "        print(len(found.assets), len(found.left_out))\n"
        "    except FileUnreadable as error:\n"
        "        print(error.cause)\n"
    )
    for error in (errno.EIO, errno.EACCES, errno.ESTALE):
        photos = Path(shutil.copytree(inputs / "photos", tmp_path / str(error)))
        faulty = failing_files.environment(photos / "b.png", "R", at=1, how=error)
        ran = subprocess.run(
            [sys.executable, "-c", script, str(photos)],
            env=os.environ | faulty,
            capture_output=True,
            text=True,
        )
        assert ran.stdout.splitlines() == [
            f"{photos / 'b.png'} cannot be read: {os.strerror(error)}",
            f"{PHOTOS + 4} 0",
        ], ran.stderr


def test_a_folder_that_cannot_be_listed_is_no_empty_one(inputs, failing_files):
    (inputs / "photos" / "more").mkdir()
    shutil.copy(inputs / "photos" / "a.png", inputs / "photos" / "more" / "m.png")

    script = (
        "import sys; from pathlib import Path\n"
        "from pairbridge.datagen.sourcing.folder_listing import listed_files\n"
        "listed_files(Path(sys.argv[1]))\n"
    )
    faulty = failing_files.environment(inputs / "photos" / "more", "D", at=1, how=errno.ESTALE)
    ran = subprocess.run(
        [sys.executable, "-c", script, str(inputs / "photos")],
        env=os.environ | faulty,
        capture_output=True,
        text=True,
    )
    assert FileUnreadable.__name__ in ran.stderr
    assert f"{inputs / 'photos' / 'more'} cannot be read" in ran.stderr
