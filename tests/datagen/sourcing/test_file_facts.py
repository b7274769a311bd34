"""Assets are read once, in parallel; folders are listed whole; what cannot be used is named."""

import os
import threading
from pathlib import Path

import pytest

from pairbridge.datagen.assets.catalogue import AssetsConfig, Catalogue
from pairbridge.datagen.assets.object_rules import ObjectRules
from pairbridge.datagen.assets.photographs import PhotoRules
from pairbridge.datagen.core.errors import CatalogueError
from pairbridge.datagen.sourcing import file_facts
from pairbridge.datagen.sourcing.folder_listing import listed_files
from pairbridge.datagen.sourcing.other_files import other_file
from pairbridge.datagen.sourcing.photo_audit import audit_photographs
from pairbridge.datagen.sourcing.sources import build_catalogue
from tests.support.broken_photographs import png, scene

TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"


def photos(folder: Path, count: int) -> AssetsConfig:
    for number in range(count):
        (folder / f"p{number}.png").write_bytes(png(scene(number)))
    return AssetsConfig(embedded=False, photos=(folder,))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(file, thread) of every file that is hashed."""
    found: list[tuple[str, int]] = []
    plain = file_facts.file_sha256

    def counted(path: Path) -> str:
        if path.suffix != ".py":
            found.append((path.name, threading.get_ident()))
        return plain(path)

    monkeypatch.setattr(file_facts, "file_sha256", counted)
    return found


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, reads: list) -> None:
    config = photos(tmp_path, 20)
    first = build_catalogue(config, None)
    assert sorted(name for name, _ in reads) == sorted(f"p{number}.png" for number in range(20))
    assert threading.get_ident() not in {thread for _, thread in reads}
    reads.clear()
    assert build_catalogue(config, None) == first
    assert reads == []
    path = tmp_path / "p3.png"
    stat = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"\x83")
    # A copy that keeps size and times is seen nevertheless.
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert build_catalogue(config, None).digest != first.digest
    assert [name for name, _ in reads] == ["p3.png"]


def test_other_rules_and_a_damaged_cache_lead_to_another_look(tmp_path: Path, reads: list) -> None:
    config = photos(tmp_path, 2)
    assert len(build_catalogue(config, None).assets) == 2
    stricter = config.model_copy(update={"photo_rules": PhotoRules(min_side=4000)})
    refused = build_catalogue(stricter, None).left_out
    assert [left.fault for left in refused] == ["unusable_photo"] * 2
    for path in (Path(os.environ["PAIRBRIDGE_CACHE"]) / "asset-facts").glob("*.json"):
        path.write_bytes(b"[1, 2")
    reads.clear()
    assert len(build_catalogue(config, None).assets) == 2
    assert len(reads) == 2


def test_an_object_is_looked_at_again_when_what_lies_beside_it_changes(tmp_path: Path, reads: list) -> None:
    (tmp_path / "shape.obj").write_text(TRIANGLE)
    config = AssetsConfig(embedded=False, objects=(tmp_path,))
    build_catalogue(config, None)
    (tmp_path / "shape.mtl").write_text("newmtl a\n")
    build_catalogue(config, None)
    assert [name for name, _ in reads] == ["shape.obj"] * 2


def test_what_cannot_be_used_is_left_out_with_its_reason_and_no_path(tmp_path: Path) -> None:
    for name in ("objects", "hdris", "photos"):
        (tmp_path / name).mkdir()
    (tmp_path / "objects" / "cut.glb").write_bytes(b"glTF\2\0\0\0\xff\xff\0\0")
    (tmp_path / "objects" / "whole.obj").write_text(TRIANGLE)
    (tmp_path / "hdris" / "no.exr").write_bytes(b"no map")
    (tmp_path / "photos" / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    (tmp_path / "photos" / "dull.png").write_bytes(png(scene("dull")))
    (tmp_path / "photos" / "catalogue.yaml").write_text("dull: {exclude: it is dull}\n")
    folders = {name: (tmp_path / name,) for name in ("objects", "hdris", "photos")}
    catalogue = build_catalogue(AssetsConfig(embedded=False, **folders), None)
    assert [asset.id for asset in catalogue.assets] == ["whole"]
    left = {one.id: one for one in catalogue.left_out}
    assert {name: (one.fault, one.refused) for name, one in left.items()} == {
        "cut": ("truncated", True),
        "no": ("damaged", True),
        "phone": ("unusable_photo", True),
        "dull": ("excluded", False),
    }
    assert "it is a HEIC" in left["phone"].reason
    assert not [one for one in left.values() if str(tmp_path) in one.reason]
    with pytest.raises(CatalogueError, match=r"1 refused, the first because image phone\.jpg"):
        catalogue.require("photo", "train", "r")


def test_every_suffix_of_jpeg_is_a_photograph(tmp_path: Path) -> None:
    names = ("a.jpg", "b.jpeg", "c.jpe", "d.jfif", "e.JIF")
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(png(scene(number)))
    assert ids_of(tmp_path) == ["a", "b", "c", "d", "e"]


def ids_of(folder: Path) -> list[str]:
    catalogue: Catalogue = build_catalogue(AssetsConfig(embedded=False, photos=(folder,)), None)
    return [asset.id for asset in catalogue.assets]


def test_linked_folders_are_entered_once_and_what_systems_leave_behind_is_no_asset(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root / "real", root / "__MACOSX", root / ".trash", elsewhere):
        folder.mkdir(parents=True)
    for number, path in enumerate(
        (root / "one.png", root / "real" / "two.png", elsewhere / "three.png", root / ".trash" / "four.png")
    ):
        path.write_bytes(png(scene(number)))
    for path in (root / "._one.png", root / "__MACOSX" / "one.png", root / "Thumbs.db", root / ".DS_Store"):
        path.write_bytes(b"\x00\x05\x16\x07")
    (root / "linked").symlink_to(elsewhere)
    (root / "again").symlink_to(root / "real")
    (root / "real" / "up").symlink_to(root)
    (root / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(root / "pipe.png")
    assert ids_of(root) == ["linked-three", "one", "real-two"]
    listed = {one.path.relative_to(root).as_posix(): one.ignored for one in listed_files(root)}
    assert {name for name, why in listed.items() if not why} == {
        "one.png",
        "real/two.png",
        "linked/three.png",
    }
    assert "macOS" in listed["._one.png"]
    assert "macOS" in listed["__MACOSX/one.png"]
    assert listed["gone.png"] == "a link to nothing"
    assert "already" in listed["again"]
    assert "already" in listed["real/up"]
    assert listed["pipe.png"] == "no regular file"
    assert "hidden" in listed[".trash/four.png"]


@pytest.mark.parametrize(
    ("name", "data", "refused", "says"),
    [
        ("a.heic", b"\0\0\0\x18ftypheic", True, "a HEIC, and it has the suffix .heic; photographs are"),
        ("a.tif", b"II*\0", True, "a TIFF"),
        ("a.bmp", b"BM", True, "a BMP"),
        ("a.avif", b"\0\0\0\x18ftypavif", True, "an AVIF"),
        ("a", b"\x89PNG\r\n\x1a\n", True, "a PNG, and it has no suffix"),
        ("a.xyz", b"what", True, "the suffix .xyz"),
        ("a.zip", b"PK\3\4", True, "a ZIP archive"),
        ("readme.txt", b"hello", False, "a document"),
        ("LICENSE", b"hello", False, "a document"),
        ("a.json", b"{}", False, "metadata"),
    ],
)
def test_what_is_no_asset_is_called_by_its_true_name(
    tmp_path: Path, name: str, data: bytes, refused: bool, says: str
) -> None:
    (tmp_path / name).write_bytes(data)
    other = other_file(tmp_path / name, "photo")
    assert other.refused == refused
    assert says in other.reason


def test_the_audit_of_photographs_counts_every_file_that_may_have_been_meant(tmp_path: Path) -> None:
    (tmp_path / "a.jfif").write_bytes(png(scene(1)))
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "c.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "notes.txt").write_bytes(b"hello")
    audit = audit_photographs(tmp_path, PhotoRules(), distance=4)
    assert audit.usable == 1
    assert audit.problems.keys() == {"b"}
    assert audit.others.keys() == {"c.heic"}


def test_malformed_files_never_stop_a_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(path: Path, rules: ObjectRules) -> None:
        raise ZeroDivisionError("a stride of 0")

    monkeypatch.setattr(file_facts, "check_object_file", stumble)
    (tmp_path / "odd.obj").write_text(TRIANGLE)
    catalogue = build_catalogue(AssetsConfig(embedded=False, objects=(tmp_path,)), None)
    assert [(left.fault, left.reason) for left in catalogue.left_out] == [
        ("damaged", "odd.obj is malformed: a stride of 0")
    ]
