"""`--retry-quarantined`: holes are made again, into the bytes of a run in which nothing failed."""

import shutil
import sys
from pathlib import Path

import pytest
import ray
from faults import Fault
from launching import SIGKILLED, Launcher, promised

from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.shards.reader import Shard
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.workers.worker import GroupWorker
from tests.support.sidecars import read_sidecars
from tests.support.tiny_photos import write_photo_assets

# Ray's workers cannot import a test module: its worker classes travel as code.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


class HalfBlindWorker(GroupWorker):
    """On this machine photographs a and b cannot be decoded, although their bytes are right."""

    def open(self):
        info = super().open()
        read = self.workbench.photo

        def photo(asset_id):
            if asset_id in ("a", "b"):
                raise AssetError(f"image {asset_id}.png cannot be used: it is damaged", remedy="replace it")
            return read(asset_id)

        self.workbench.photo = photo
        return info


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> DatasetConfig:
    root = write_photo_assets(tmp_path_factory.mktemp("inputs"))
    return DatasetConfig.model_validate(
        {
            "name": "p",
            "seed": 1,
            "groups_per_shard": 6,
            "assets": {"embedded": False, "photos": [root / "photos"]},
            "recipes": {"r": {"kind": "photo_removal", "groups": {"train": 24}, "size_WH": [32, 32]}},
        }
    )


@pytest.fixture(scope="module")
def calm(config, tmp_path_factory, ray_address) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("calm") / "out"
    generate(config, out, workers=2, on_progress=lambda _: None)
    return promised(out)


@pytest.fixture(scope="module")
def made_with_holes(config, tmp_path_factory, ray_address) -> Path:
    """A finished dataset of which every shard lacks something."""
    out = tmp_path_factory.mktemp("holes") / "out"
    result = generate(config, out, workers=2, on_progress=lambda _: None, worker_class=HalfBlindWorker)
    assert 0 < result.num_quarantined < 24
    assert all(sidecar.holes for sidecar in read_sidecars(out / "shards"))
    return out


@pytest.fixture
def with_holes(made_with_holes, tmp_path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(made_with_holes, tmp_path / "out"))


def samples(out: Path) -> dict[str, dict[str, bytes]]:
    shards = [Shard.of(out / "shards", sidecar) for sidecar in read_sidecars(out / "shards")]
    return {shard.key(index): shard.read(index) for shard in shards for index in range(len(shard))}


def test_holes_are_made_again_into_the_bytes_of_an_undisturbed_run(config, with_holes, calm):
    before, there = promised(with_holes), samples(with_holes)
    for reason in ("crashed", "image c.png"):
        result = generate(config, with_holes, workers=1, on_progress=lambda _: None, retry_quarantined=reason)
        assert result.num_retried == 0
        assert promised(with_holes) == before
    generate(config, with_holes, workers=1, on_progress=lambda _: None)
    assert promised(with_holes) == before
    for reason in ("B.PNG cannot", "a"):
        result = generate(config, with_holes, workers=1, on_progress=lambda _: None, retry_quarantined=reason)
        assert result.num_retried
        assert (result.num_quarantined == 0) == (reason == "a")
    assert promised(with_holes) == calm
    assert there.items() <= samples(with_holes).items()


def test_a_reason_that_nothing_is_in_quarantine_for_is_named(config, with_holes, tmp_path, pairbridge):
    path = tmp_path / "dataset.yaml"
    path.write_text(config.model_dump_json())
    status, out, _ = pairbridge("generate", path, "--out", with_holes, "--retry-quarantined=crashed")
    assert status == 2
    assert "no pair was in quarantine for 'crashed', and none was made again" in out


def test_what_fails_again_is_in_quarantine_again_with_the_same_bytes(config, with_holes):
    before = promised(with_holes)
    generate(
        config,
        with_holes,
        workers=1,
        on_progress=lambda _: None,
        worker_class=HalfBlindWorker,
        retry_quarantined="",
    )
    assert promised(with_holes) == before
    assert verify_dataset(with_holes, decode=True).ok


@pytest.mark.long
@pytest.mark.parametrize(
    ("point", "place"),
    [("tar", "train-r-000001"), ("tar to sidecar", "train-r-000000"), ("card", "-")],
)
@pytest.mark.parametrize("again", [{}, {"retry_quarantined": ""}])
def test_killed_in_the_middle_it_is_finished_by_the_same_command_and_by_a_plain_one(
    config, with_holes, calm, ray_address, point, place, again
):
    launcher = Launcher(ray_address)
    killed = launcher.run(config, with_holes, [Fault("driver", point, place)], retry_quarantined="")
    assert killed == SIGKILLED, launcher.log(with_holes)
    assert promised(with_holes) != calm
    assert launcher.run(config, with_holes, **again) == 0, launcher.log(with_holes)
    assert promised(with_holes) == calm
    assert verify_dataset(with_holes, decode=True).ok
