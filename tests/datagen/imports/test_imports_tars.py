"""Foreign WebDataset tars, read where they lie: any dialect of tar, nothing but plain images."""

import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset as wds
from PIL import Image

from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.datagen.imports.checking import verify_import
from pairbridge.datagen.imports.import_config import ImportConfig
from pairbridge.datagen.imports.imported import ImportedPairs
from pairbridge.datagen.imports.indexing import ImportReport, import_dataset
from pairbridge.training.data.pairs import PairSource
from tests.support.foreign_datasets import encode, picture, sample_members, write_tar

FIELDS = {"source": "edit.jpg", "target": ["jpg", "png"]}


def imported(root: Path, out: Path, hash_files: bool = False, **changes) -> ImportReport:
    layout = {"kind": "tars", "fields": FIELDS, **changes.pop("layout", {})}
    splits = {"kind": "all", "split": "train"}
    config = ImportConfig.model_validate(
        {"name": "wild", "root": root, "layout": layout, "splits": splits, **changes}
    )
    return import_dataset(config, out, hash_files=hash_files)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, dialect in enumerate((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT)):
        # Keys begin anew in every tar; one is too long for ustar.
        names = [f"{key:06d}" for key in range(3)]
        if dialect != tarfile.USTAR_FORMAT:
            names.append("Ä/" + "long" * 40)
        members = [member for name in names for member in sample_members(name)]
        write_tar(tmp_path / "data" / "part" / f"{number:05d}.tar", members, format=dialect)
    return tmp_path / "data"


def test_samples_are_what_webdataset_reads(root: Path, tmp_path: Path) -> None:
    report = imported(root, tmp_path / "out")
    assert report.pairs["train"] == 11
    assert not report.refused
    expected = {}
    for tar in sorted(root.rglob("*.tar")):
        for sample in wds.WebDataset(str(tar), shardshuffle=False, empty_check=False):
            expected[f"part/{tar.stem}/{sample['__key__']}"] = sample["edit.jpg"], sample["jpg"]
    pairs = PairSource(tmp_path / "out", "wild", "train")
    store = ImportedPairs(tmp_path / "out", "wild", "train")
    found = {}
    for index in range(len(pairs)):
        pair = pairs.pair(index)
        found[store.entry(index).id] = pair
    assert list(found) == sorted(expected)
    for name, encoded in expected.items():
        for image, data in zip((found[name].source, found[name].target), encoded, strict=True):
            np.testing.assert_array_equal(image, np.array(Image.open(io.BytesIO(data))))


def test_a_tar_of_webdatasets_own_writer_is_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with wds.TarWriter(str(tmp_path / "data" / "a.tar")) as writer:
        for number in range(3):
            jpg = encode(picture(f"{number}"), "JPEG")
            writer.write({"__key__": f"s{number}", "jpg": jpg, "edit.jpg": jpg, "json": {"a": 1}})
    assert imported(tmp_path / "data", tmp_path / "out").pairs["train"] == 3
    assert PairSource(tmp_path / "out", "wild", "train").pair(2).key == "a-s2"


@pytest.mark.parametrize("sidecars", ["cache", "beside"])
def test_sidecars_save_the_second_walk_and_never_lie(
    root: Path, tmp_path: Path, sidecars: str, monkeypatch
) -> None:
    layout = {"sidecars": sidecars}
    imported(root, tmp_path / "out", layout=layout)
    kept = sorted((root if sidecars == "beside" else tmp_path / "out" / "members").rglob("*.members.json"))
    assert [path.name for path in kept] == [f"{number:05d}.tar.members.json" for number in range(3)]
    walked = []
    original = tarfile.open
    monkeypatch.setattr(tarfile, "open", lambda *a, **k: walked.append(a) or original(*a, **k))
    imported(root, tmp_path / "out", layout=layout)
    assert not walked
    if sidecars == "beside":
        imported(root, tmp_path / "second", layout=layout)
        assert not walked
    # Another tar of the same size under the old sidecar: its time gives it away.
    tar = root / "part" / "00002.tar"
    tar.write_bytes(tar.read_bytes())
    os.utime(tar, ns=(0, 1))
    imported(root, tmp_path / "out", layout=layout)
    assert len(walked) == 1
    kept[0].write_text("{")
    imported(root, tmp_path / "out", layout=layout)
    assert len(walked) == 2


def test_what_is_no_sample_is_listed(tmp_path: Path) -> None:
    good = sample_members("good")
    jpg = encode(picture("x"), "JPEG")
    members = [
        *good,
        *[member for member in sample_members("headless") if not member[0].endswith(".edit.jpg")],
        ("twice.jpg", jpg),
        ("twice.png", encode(picture("x"))),
        ("twice.edit.jpg", jpg),
        ("uneven.jpg", jpg),
        ("uneven.edit.jpg", encode(picture("x", (25, 16)), "JPEG")),
        ("scattered.jpg", jpg),
        ("between.jpg", jpg),
        ("scattered.edit.jpg", jpg),
        ("again.jpg", jpg),
        ("again.jpg", jpg),
        ("again.edit.jpg", jpg),
        ("22.05.jpg", jpg),
        ("22.05.edit.jpg", jpg),
        ("._good.jpg", b"Mac OS X"),
        ("broken.jpg", b"cos\nsystem\n(S'false'\ntR."),
        ("broken.edit.jpg", jpg),
        ("empty.jpg", b""),
        ("empty.edit.jpg", jpg),
    ]
    path = write_tar(tmp_path / "data" / "a.tar", members)
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo("evil.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    report = imported(tmp_path / "data", tmp_path / "out")
    assert {entry.id: entry.reason.split(":")[0] for entry in report.refused} == {
        "a/headless": "it has no source",
        "a/twice": "several members could be its target",
        "a/uneven": "its images differ in size",
        "a/between": "it has no source",
        "a/again": "again.jpg is in the tar 2 times",
        "a/22": "it has no source",
        "a/broken": "image the target at byte 32256 of a.tar cannot be used",
        "a/empty": "empty.jpg is empty",
        "a.tar/evil.jpg": "it is a link",
    }
    (dotted,) = [entry.reason for entry in report.refused if entry.id == "a/22"]
    assert dotted.endswith(
        "a key ends at the first dot of a name, so 22.05.edit.jpg is the field '05.edit.jpg'"
    )
    # Where members lie is known, so that they need not lie side by side.
    pairs = ImportedPairs(tmp_path / "out", "wild", "train")
    assert [pairs.entry(index).id for index in range(len(pairs))] == ["a/good", "a/scattered"]
    np.testing.assert_array_equal(
        pairs.read(1, ("target",))[1]["target"], np.array(Image.open(io.BytesIO(jpg)))
    )


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: data[: len(data) // 2 // 512 * 512], "it was cut|no end at byte"),
        (lambda data: data[:4000] + b"\xff" * 512 + data[4512:], "it was cut|no end at byte|no plain"),
        (lambda data: b"\x1f\x8b" + data, "no plain, uncompressed tar"),
        (lambda data: b"", "no plain, uncompressed tar"),
    ],
    ids=["cut", "overwritten", "compressed", "empty"],
)
def test_a_damaged_tar_costs_itself_alone(root: Path, tmp_path: Path, damage, says: str) -> None:
    tar = root / "part" / "00001.tar"
    members = [(f"k{number}.jpg", b"x" * 1000) for number in range(6)]
    write_tar(tar, members)
    tar.write_bytes(damage(tar.read_bytes().rstrip(b"\0")))
    report = imported(root, tmp_path / "out")
    (refused,) = [entry for entry in report.refused if entry.id.endswith(".tar")]
    assert refused.id == "part/00001.tar"
    assert any(text in refused.reason for text in says.split("|")), refused.reason
    assert report.pairs["train"] == 7


def test_compressed_tars_cannot_be_read_in_place(root: Path, tmp_path: Path) -> None:
    with tarfile.open(root / "z.tar", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a.jpg"), io.BytesIO())
    report = imported(root, tmp_path / "out")
    assert [entry.id for entry in report.refused] == ["z.tar"]
    assert "uncompressed" in report.refused[0].reason


def test_a_tar_that_changed_is_not_read(root: Path, tmp_path: Path) -> None:
    imported(root, tmp_path / "out", hash_files=True)
    assert verify_import(tmp_path / "out", decode=True) == []
    tar = root / "part" / "00000.tar"
    data = bytearray(tar.read_bytes())
    pairs = PairSource(tmp_path / "out", "wild", "train")
    entry = ImportedPairs(tmp_path / "out", "wild", "train").entry(0)
    middle = entry.files["target"].offset + entry.files["target"].size // 2
    data[middle] ^= 0xFF
    tar.write_bytes(data)
    places = {finding.where for finding in verify_import(tmp_path / "out")}
    assert places == {"part/00000.tar", entry.key}
    tar.write_bytes(data + b"\0" * 512)
    with pytest.raises(ShardError, match="when it was imported it had"):
        pairs.pair(0)
    assert pairs.pair(len(pairs) - 1).target.any()


def test_digests_do_not_depend_on_what_an_earlier_import_hashed(root: Path, tmp_path: Path) -> None:
    layout = {"sidecars": "beside"}
    imported(root, tmp_path / "hashed", hash_files=True, layout=layout)
    imported(root, tmp_path / "after", layout=layout)
    imported(root, tmp_path / "alone")
    digests = [PairSource(tmp_path / name, "wild", "train").digest for name in ("hashed", "after", "alone")]
    assert digests[1] == digests[2] != digests[0]
    index = (tmp_path / "hashed" / "index" / "train.jsonl").read_bytes().splitlines()
    assert all(file["sha256"] for line in index for file in json.loads(line)["files"].values())


@pytest.mark.parametrize("extension", ["pyd", "pth", "cls", "edit.JPG", "npy"])
def test_only_images_may_be_fields(tmp_path: Path, extension: str) -> None:
    with pytest.raises(ValueError, match="ending in one of jpg"):
        imported(tmp_path, tmp_path / "out", layout={"fields": {**FIELDS, "source": extension}})


def test_a_whole_tar_stays_in_one_split_on_request(root: Path, tmp_path: Path) -> None:
    report = imported(root, tmp_path / "out", layout={"group_by": "tar"}, splits={"kind": "hash"})
    assert sum(report.groups.values()) == 3
    with pytest.raises(ConfigError, match="no tar below"):
        imported(root, tmp_path / "none", layout={"tars": ["*.tgz"]})
