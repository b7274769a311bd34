"""More samples for a dataset that has been begun: what is committed stays, and the whole is what one run for
all of it would have made.
"""

import json
from pathlib import Path

import pytest

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.shards.reader import open_shards
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.progress import LogLines
from pairbridge.pipelines.shelves import shelf
from tests.support.tiny_removal import add_photos, removal_config


def make(config, out: Path, **options):
    return generate(config, out, workers=1, on_progress=LogLines(), **options)


def content(out: Path) -> dict[str, bytes]:
    names = ["dataset.json", "quarantine.jsonl", "README.md", "croissant.json"]
    names += [str(path.relative_to(out)) for path in out.glob("shards/*")]
    return {name: (out / name).read_bytes() for name in sorted(names)}


def test_a_dataset_grows_in_place_to_what_one_run_would_have_made(tmp_path, ray_address):
    small, large = (
        removal_config(tmp_path / "photos", groups=groups, groups_per_shard=3) for groups in (4, 8)
    )
    out = make(small, tmp_path / "grown").dataset_dir
    before, full = content(out), out / "shards" / "train-holes-000000.tar"
    written_ns = full.stat().st_mtime_ns
    assert make(large, out).num_pairs == 16
    assert verify_dataset(out).ok
    assert content(out) == content(make(large, tmp_path / "at once").dataset_dir)
    # The full shard was not touched, and the samples of the other one are still what they were.
    assert full.stat().st_mtime_ns == written_ns
    assert before["shards/train-holes-000000.json"] == (full.with_suffix(".json")).read_bytes()
    partial, grown = before["shards/train-holes-000001.tar"], content(out)["shards/train-holes-000001.tar"]
    assert grown.startswith(partial[:-1024])
    assert len(grown) > len(partial)


class Killed(BaseException):
    """Stands for a kill at one line: nothing after it runs."""


@pytest.mark.parametrize("after", [pytest.param(False, marks=pytest.mark.long), True])
def test_a_kill_while_the_last_shard_is_reopened_loses_nothing(tmp_path, ray_address, monkeypatch, after):
    small, large = (removal_config(tmp_path / "photos", groups=groups) for groups in (1, 2))
    out = make(small, tmp_path / "grown").dataset_dir
    uncommit = shelf.uncommit_shard

    def killed(shards_dir, name):
        if after:
            (shards_dir / f"{name}.json").unlink()
        raise Killed

    monkeypatch.setattr(shelf, "uncommit_shard", killed)
    with pytest.raises(Killed):
        make(large, out)
    monkeypatch.setattr(shelf, "uncommit_shard", uncommit)
    assert make(large, out).num_pairs == 4
    assert content(out) == content(make(large, tmp_path / "at once").dataset_dir)


def test_a_damaged_shard_is_not_grown(tmp_path, ray_address):
    small, large = (removal_config(tmp_path / "photos", groups=groups) for groups in (1, 2))
    out = make(small, tmp_path / "grown").dataset_dir
    tar = out / "shards" / "train-holes-000000.tar"
    data = bytearray(tar.read_bytes())
    data[900] ^= 1
    tar.write_bytes(data)
    with pytest.raises(ShardError, match=r"sha256 of .* is not the one"):
        make(large, out)
    assert tar.read_bytes() == data


def photos_used(out: Path, groups: range) -> set[str]:
    used = set()
    for shard in open_shards(out, "holes", "train"):
        for index in range(len(shard)):
            meta = json.loads(shard.read(index)["meta.json"])
            if meta["group"] in groups:
                used |= {asset["id"] for asset in meta["assets"]}
    return used


def test_new_files_are_left_alone_until_asked_for_and_then_serve_later_groups_only(tmp_path, ray_address):
    photos = tmp_path / "photos"
    out = make(removal_config(photos, groups=3), tmp_path / "grown").dataset_dir
    before = content(out)
    add_photos(photos, *(f"new-{number}" for number in range(4)))
    result = make(removal_config(photos, groups=3), out)
    assert result.unused_assets == ("new-0", "new-1", "new-2", "new-3")
    assert content(out) == before

    assert make(removal_config(photos, groups=8), out, extend_assets=True).unused_assets == ()
    assert verify_dataset(out).ok
    assert content(out)["shards/train-holes-000000.json"] == before["shards/train-holes-000000.json"]
    assert photos_used(out, range(3)) <= {"wave-a", "wave-b", "wave-c"}
    assert [name for name in photos_used(out, range(3, 8)) if name.startswith("new")]
    manifest = DatasetManifest.from_folder(out)
    assert [entry.first_groups for entry in manifest.extensions] == [{"train-holes": 3}]

    # From now on they are part of the dataset: growing on needs no further word.
    extended = content(out)
    assert make(removal_config(photos, groups=8), out).unused_assets == ()
    assert content(out) == extended
    assert make(removal_config(photos, groups=9), out).num_pairs == 18
    assert verify_dataset(out).ok
