"""Paired folders indexed in place: pairs, order, keys, splits, refusals and damage."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.assets.photographs import decode_image
from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.datagen.imaging.fill import fill_noise
from pairbridge.datagen.imports.checking import verify_import
from pairbridge.datagen.imports.import_config import ImportConfig
from pairbridge.datagen.imports.import_manifest import ImportManifest, IndexEntry, index_path
from pairbridge.datagen.imports.imported import ImportedPairs
from pairbridge.datagen.imports.indexing import ImportReport, NothingToImport, import_dataset
from pairbridge.datagen.shards.proven_files import DataReplaced
from pairbridge.training.data.pairs import PairSource, splits_of
from tests.support.foreign_datasets import encode, hole, picture, put, write_folders

FIELDS = {"source": "before/{id}.jpg", "target": "after/{id}.png", "mask": "mask/{id}_mask.png"}
NAMES = [f"room{room}/view_{view}" for room in range(4) for view in range(3)]


def config(root: Path, **changes) -> ImportConfig:
    layout = {"kind": "folders", "task": "removal", "fields": FIELDS, **changes.pop("layout", {})}
    everything = {"name": "mine", "root": root, "layout": layout, "splits": {"kind": "all", "split": "train"}}
    return ImportConfig.model_validate({**everything, **changes})


def imported(root: Path, out: Path, **changes) -> ImportReport:
    hash_files = changes.pop("hash_files", False)
    return import_dataset(config(root, **changes), out, hash_files=hash_files)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_folders(tmp_path / "data", NAMES)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "imports" / "mine"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_pairs_are_the_files_and_the_files_stay_as_they_were(root: Path, out: Path) -> None:
    before = tree(root)
    report = imported(root, out)
    assert report.pairs == {"train": 12, "validation": 0, "test": 0}
    assert not report.refused
    assert tree(root) == before
    assert sum(len(data) for data in tree(out).values()) < 10_000
    pairs = PairSource(out, "mine", "train")
    assert [pairs.key(index) for index in range(len(pairs))] == [name.replace("/", "-") for name in NAMES]
    for index, name in enumerate(NAMES):
        pair = pairs.pair(index)
        assert pair.key == pairs.key(index)
        np.testing.assert_array_equal(pair.target, picture(f"{name} after"))
        np.testing.assert_array_equal(pair.mask, hole(name) * np.uint8(255))
        given = decode_image((root / "before" / f"{name}.jpg").read_bytes(), name)
        seed = json.loads(pair.meta["params"])["fill_seed"]
        np.testing.assert_array_equal(pair.source, fill_noise(given, pair.mask, seed))
    assert splits_of(out, "mine") == {"train"}


def test_a_translation_needs_no_mask_and_gets_no_noise(root: Path, out: Path) -> None:
    fields = {name: FIELDS[name] for name in ("source", "target")}
    imported(root, out, layout={"task": "translation", "fields": fields})
    pair = PairSource(out, "mine", "train").pair(3, noise_draw=5)
    given = decode_image((root / "before" / f"{NAMES[3]}.jpg").read_bytes(), "given")
    np.testing.assert_array_equal(pair.source, given)
    assert (pair.mask == 255).all()


def test_a_removal_without_sources_starts_from_its_targets(root: Path, out: Path) -> None:
    imported(root, out, layout={"fields": {name: FIELDS[name] for name in ("target", "mask")}})
    pair = PairSource(out, "mine", "train").pair(0)
    outside = pair.mask == 0
    np.testing.assert_array_equal(pair.source[outside], pair.target[outside])
    assert (pair.source[~outside] != pair.target[~outside]).mean() > 0.9


def test_what_cannot_be_a_pair_is_listed_with_its_reason(root: Path, out: Path) -> None:
    (root / "mask" / "room0" / "view_0_mask.png").unlink()
    put(root / "after" / "room0" / "view_1.png", encode(picture("other", (30, 16))))
    put(root / "after" / "room0" / "view_2.png", b"no image")
    put(root / "after" / "room1" / "view_0.png", b"")
    put(root / "after" / "extra.png", encode(picture("extra")))
    put(root / "before" / ".hidden.jpg", b"")
    report = imported(root, out)
    listed = [json.loads(line) for line in (out / "rejected.jsonl").read_bytes().splitlines()]
    assert {entry["id"]: entry["reason"].split(":")[0] for entry in listed} == {
        "extra": "it has no source",
        "room0/view_0": "it has no mask",
        "room0/view_1": "its images differ in size",
        "room0/view_2": "image after/room0/view_2.png cannot be used",
        "room1/view_0": "after/room1/view_0.png is empty",
    }
    assert report.pairs["train"] == 8
    assert ImportManifest.from_folder(out).rejected == len(report.refused) == 5


def test_two_files_for_one_field_are_not_guessed_between(root: Path, out: Path) -> None:
    put(root / "after" / f"{NAMES[0]}.webp", encode(picture("x"), "WEBP"))
    report = imported(
        root, out, layout={"fields": {**FIELDS, "target": ["after/{id}.png", "after/{id}.webp"]}}
    )
    assert [entry.id for entry in report.refused] == [NAMES[0]]
    assert "several files could be its target" in report.refused[0].reason


def test_masks_mean_what_the_field_map_says(root: Path, out: Path) -> None:
    mask = {"paths": FIELDS["mask"], "codec": {"kind": "mask", "foreground": "black", "threshold": 128}}
    imported(root, out, layout={"fields": {**FIELDS, "mask": mask}})
    np.testing.assert_array_equal(
        PairSource(out, "mine", "train").pair(0).mask, ~hole(NAMES[0]) * np.uint8(255)
    )


def test_masks_are_looked_at_when_they_are_imported(root: Path, out: Path) -> None:
    """Any two levels are a mask; what is none, or marks nothing or everything, is no pair."""
    inside = hole(NAMES[0])
    masks = {
        NAMES[0]: np.where(hole(NAMES[0]), 254, 3),
        NAMES[1]: hole(NAMES[1]) * 1,
        NAMES[2]: np.dstack([inside * 0] * 3 + [hole(NAMES[2]) * 255]),
        NAMES[3]: inside * 0,
        NAMES[4]: inside * 0 + 255,
        NAMES[5]: picture("a photograph")[..., 0],
    }
    for name, mask in masks.items():
        put(root / "mask" / f"{name}_mask.png", encode(mask.astype(np.uint8)))
    report = imported(root, out)
    assert {entry.id: entry.reason.partition("_mask.png ")[2][:24] for entry in report.refused} == {
        NAMES[3]: "marks nothing: all of it",
        NAMES[4]: "marks everything: all of",
        NAMES[5]: "is no mask: 201 grey lev",
    }
    pairs = PairSource(out, "mine", "train")
    for index, name in enumerate(NAMES[:3]):
        np.testing.assert_array_equal(pairs.pair(index).mask, hole(name) * np.uint8(255))
    # A file that changed under its size is found again.
    path = root / "mask" / f"{NAMES[0]}_mask.png"
    full = encode(np.full(inside.shape, 255, np.uint8))
    path.write_bytes(full + bytes(path.stat().st_size - len(full)))
    (finding,) = verify_import(out, decode=True)
    assert "marks everything" in finding.problem


def test_an_empty_mask_is_kept_on_request(root: Path, out: Path) -> None:
    put(root / "mask" / f"{NAMES[0]}_mask.png", encode(np.zeros(hole(NAMES[0]).shape, np.uint8)))
    mask = {"paths": FIELDS["mask"], "codec": {"kind": "mask", "empty": "keep"}}
    assert not imported(root, out, layout={"fields": {**FIELDS, "mask": mask}}).refused
    assert not PairSource(out, "mine", "train").pair(0).mask.any()


def test_same_data_same_bytes_wherever_it_lies(root: Path, tmp_path: Path) -> None:
    imported(root, tmp_path / "a")
    # Another place, written in another order.
    moved = write_folders(tmp_path / "elsewhere", NAMES[::-1])
    imported(moved, tmp_path / "b")
    assert (
        index_path(tmp_path / "a", "train").read_bytes() == index_path(tmp_path / "b", "train").read_bytes()
    )
    one, other = (PairSource(tmp_path / name, "mine", "train") for name in "ab")
    assert one.digest == other.digest
    # The same folder follows a data set that moved.
    root.rename(tmp_path / "moved")
    imported(tmp_path / "moved", tmp_path / "a")
    np.testing.assert_array_equal(
        PairSource(tmp_path / "a", "mine", "train").pair(2).target, other.pair(2).target
    )


def test_digest_follows_files_and_their_meaning(root: Path, tmp_path: Path) -> None:
    imported(root, tmp_path / "a")
    dilated = {"paths": FIELDS["mask"], "codec": {"kind": "mask", "dilate_px": 1}}
    imported(root, tmp_path / "b", layout={"fields": {**FIELDS, "mask": dilated}})
    put(root / "after" / f"{NAMES[5]}.png", encode(picture("changed")))
    imported(root, tmp_path / "c", hash_files=True)
    put(root / "after" / f"{NAMES[5]}.png", encode(picture("changed")[::-1]))
    imported(root, tmp_path / "d", hash_files=True)
    digests = [PairSource(tmp_path / name, "mine", "train").digest for name in "abcd"]
    assert len(set(digests)) == 4


def test_a_changed_data_set_is_not_imported_over_the_old_index(root: Path, out: Path) -> None:
    imported(root, out)
    before = tree(out)
    imported(root, out)
    assert tree(out) == before
    (root / "mask" / f"{NAMES[0]}_mask.png").unlink()
    with pytest.raises(ConfigError, match="has changed since"):
        imported(root, out)
    assert tree(out) == before


def test_splits_by_hash_stay_when_pairs_are_added_and_keep_groups_together(tmp_path: Path) -> None:
    names = [f"set{number:03d}/{view}" for number in range(60) for view in "ab"]
    data = write_folders(tmp_path / "data", names[:80])
    by_folder = {"splits": {"kind": "hash"}, "layout": {"group_by": "folder"}}
    first = imported(data, tmp_path / "first", **by_folder)
    write_folders(data, names[80:])
    imported(data, tmp_path / "second", **by_folder)
    assert min(first.pairs.values()) > 0
    assert first.groups == {split: count / 2 for split, count in first.pairs.items()}

    def places(out: Path) -> dict[str, str]:
        lines = {path.stem: path.read_bytes().splitlines() for path in (out / "index").iterdir()}
        return {IndexEntry.model_validate_json(line).id: split for split in lines for line in lines[split]}

    old, new = places(tmp_path / "first"), places(tmp_path / "second")
    assert len(new) == 120
    assert old == {name: new[name] for name in old}


@pytest.mark.parametrize(
    ("names", "where"),
    [
        ([f"{number:03d}" for number in range(30)], "none lies in a folder of its own"),
        ([f"all/{number:03d}" for number in range(30)], "'all'"),
    ],
)
def test_one_group_is_no_data_set(tmp_path: Path, names: list[str], where: str) -> None:
    """One folder's hash decided for all 300 of 300 pairs, and they were all for validation."""
    data = write_folders(tmp_path / "data", names)
    by_folder = {"layout": {"group_by": "folder"}}
    with pytest.raises(ConfigError, match=rf"all 30 pairs are one group \({where}\)"):
        imported(data, tmp_path / "out", splits={"kind": "hash"}, **by_folder)
    assert not (tmp_path / "out").exists()
    by_file = imported(data, tmp_path / "files", splits={"kind": "hash"})
    assert by_file.pairs["train"] > by_file.pairs["validation"]
    # Whoever says what it is for is believed, and is not steered towards training on it later.
    chosen = {"splits": {"kind": "all", "split": "validation"}, **by_folder}
    assert imported(data, tmp_path / "chosen", **chosen).pairs["validation"] == 30
    with pytest.raises(ConfigError) as refused:
        PairSource(tmp_path / "chosen", "mine", "train")
    assert (
        refused.value.remedy == "import it into a new folder with pairs in 'train', by `splits` or `group_by`"
    )


def test_splits_by_path_and_a_leak_is_refused(root: Path, out: Path, tmp_path: Path) -> None:
    paths = {"kind": "paths", "test": ["after/room3/*"], "train": ["after/room[01]/*"]}
    report = imported(root, out, splits=paths)
    assert report.pairs == {"train": 6, "validation": 0, "test": 3}
    assert {entry.reason for entry in report.refused} == {"no pattern of `splits` fits its path"}
    leaking = {"kind": "paths", "test": ["*view_0.png"], "train": ["*"]}
    with pytest.raises(ConfigError, match="'room0' has pairs in train and in test"):
        imported(root, tmp_path / "leak", splits=leaking, layout={"group_by": "folder"})
    assert not (tmp_path / "leak").exists()


def test_keys_are_safe_unique_and_kept_short(tmp_path: Path) -> None:
    names = ["A b/ü(1)", "a-b/1", "x" * 120, "x" * 119 + "y", "plain"]
    imported(write_folders(tmp_path / "data", names), tmp_path / "out")
    pairs = ImportedPairs(tmp_path / "out", "mine", "train")
    entries = [pairs.entry(index) for index in range(len(pairs))]
    assert sorted(entry.id for entry in entries) == sorted(names)
    keys = [entry.key for entry in entries]
    assert len(set(keys)) == 5
    assert "plain" in keys
    assert max(map(len, keys)) <= 80


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "when it was imported it had"),
        (lambda path: path.write_bytes(bytes(path.stat().st_size)), "is not what was imported"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "when it was imported it had"),
    ],
    ids=["gone", "grown", "zeroed", "pipe"],
)
def test_damage_is_named_and_verified(root: Path, out: Path, damage, says: str) -> None:
    imported(root, out, hash_files=True)
    assert verify_import(out, decode=True) == []
    damage(root / "after" / f"{NAMES[4]}.png")
    pairs = PairSource(out, "mine", "train")
    with pytest.raises((ShardError, DataReplaced), match=rf"room1-view_1: .*after/room1/view_1\.png.*{says}"):
        pairs.pair(4)
    assert pairs.pair(5).key == "room1-view_2"
    (finding,) = verify_import(out)
    assert finding.where == "room1-view_1"


@pytest.mark.parametrize("split", ["validation", "test"])
def test_what_an_import_lacks_is_refused(root: Path, out: Path, split: str) -> None:
    imported(root, out)
    with pytest.raises(ConfigError, match="holds the import 'mine' with splits"):
        PairSource(out, "mine", split)
    with pytest.raises(ConfigError, match="recipe: mine"):
        PairSource(out, "other", "train")


def test_a_changed_index_is_refused_and_nothing_outside_the_root_is_read(root: Path, out: Path) -> None:
    imported(root, out)
    path = index_path(out, "train")
    path.write_bytes(path.read_bytes().replace(b"view_0", b"view_9", 1))
    with pytest.raises(ShardError, match="sha256 is not the one"):
        PairSource(out, "mine", "train")
    for outside in ("../secret.png", "/etc/secret.png", "after/../../secret.png"):
        with pytest.raises(ValueError, match="no plain path below"):
            IndexEntry.model_validate_json(
                json.dumps(
                    {"key": "k", "id": "k", "group": "k", "files": {"target": {"path": outside, "size": 1}}}
                )
            )


def test_an_import_pickles_and_holds_no_file(root: Path, out: Path) -> None:
    imported(root, out)
    open_before = len(os.listdir("/proc/self/fd"))
    pairs = PairSource(out, "mine", "train")
    copy = pickle.loads(pickle.dumps(pairs))
    np.testing.assert_array_equal(copy.pair(7).source, pairs.pair(7).source)
    assert copy.digest == pairs.digest
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_linked_folders_are_entered_once(tmp_path: Path) -> None:
    write_folders(tmp_path / "disk", NAMES[:2])
    root = tmp_path / "data"
    root.mkdir()
    for folder in ("before", "after", "mask"):
        (root / folder).symlink_to(tmp_path / "disk" / folder)
    (root / "loop").symlink_to(root)
    assert imported(root, tmp_path / "out").pairs["train"] == 2


@pytest.mark.parametrize(
    ("layout", "says"),
    [
        ({"fields": {"source": FIELDS["source"], "target": FIELDS["target"]}}, "a removal needs mask and"),
        ({"fields": {**FIELDS, "target": "after/x.png"}}, "must all hold the same names"),
        ({"fields": {**FIELDS, "target": "../{id}.png"}}, "no path below the root"),
        ({"fields": {**FIELDS, "a depth": "depth/{id}.png"}}, "is no name of a field"),
    ],
)
def test_a_field_map_that_cannot_work_is_refused(tmp_path: Path, layout: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        config(tmp_path, layout=layout)


def test_nothing_found_and_nothing_usable_are_told_apart(root: Path, out: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file below .* fits nowhere/\{id\}\.png \(target\)"):
        imported(root, out, layout={"fields": {**FIELDS, "target": "nowhere/{id}.png"}})
    with pytest.raises(ConfigError, match="is not a folder"):
        imported(tmp_path / "missing", out)
    for name in NAMES:
        put(root / "after" / f"{name}.png", b"broken")
    with pytest.raises(NothingToImport, match="none of 12 things"):
        imported(root, out)
    assert not (out / "import.json").exists()
