"""What is read is what was hashed: files of assets against the catalogue, by their bytes, with real files."""

import os
from pathlib import Path

import pytest

from pairbridge.datagen.assets.catalogue import AssetsConfig, Catalogue
from pairbridge.datagen.assets.files_in_use import AssetChanged, FilesInUse, ProvenCatalogue
from pairbridge.datagen.core.errors import FileUnreadable
from pairbridge.datagen.sourcing.sources import build_catalogue

TRIANGLE = "mtllib red.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl red\nf 1 2 3\n"
MATERIAL = "newmtl red\nKd 1 0 0\nmap_Kd textures/red.png\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An object whose material and texture lie beside it."""
    (tmp_path / "textures").mkdir()
    (tmp_path / "chair.obj").write_text(TRIANGLE)
    (tmp_path / "red.mtl").write_text(MATERIAL)
    (tmp_path / "textures" / "red.png").write_bytes(b"red" * 100)
    return tmp_path


def catalogue_of(folder: Path) -> Catalogue:
    return build_catalogue(AssetsConfig(embedded=False, objects=(folder,)), None)


def in_use(folder: Path) -> tuple[FilesInUse, ProvenCatalogue]:
    files = FilesInUse()
    proven = ProvenCatalogue(catalogue_of(folder).assets, files=files)
    files.begin()
    assert proven.get("chair").path == folder / "chair.obj"
    files.settle()
    files.begin()
    return files, proven


@pytest.mark.parametrize("name", ["red.mtl", "textures/red.png"])
def test_what_an_object_refers_to_counts_in_the_catalogue(folder, name):
    before = catalogue_of(folder)
    data = bytearray((folder / name).read_bytes())
    data[-5] ^= 1
    (folder / name).write_bytes(data)
    after = catalogue_of(folder)
    assert after.get("chair").sha256 == before.get("chair").sha256
    assert after.digest != before.digest


@pytest.mark.parametrize("name", ["red.mtl", "textures/red.png"])
def test_side_files_that_change_stop_the_run_and_those_that_go_are_waited_for(folder, name):
    kept = (folder / name).read_bytes()
    for seen_before in (True, False):
        _, proven = in_use(folder)
        if not seen_before:  # another worker, whose first use it is
            proven = ProvenCatalogue(proven.assets, files=FilesInUse())
        (folder / name).unlink()
        with pytest.raises(FileUnreadable, match=r"files that .*chair\.obj refers to .* are gone"):
            proven.get("chair")
        (folder / name).write_bytes(b"#" + kept[1:])
        with pytest.raises(AssetChanged, match=r"asset chair has changed: .* refers to .* has other bytes"):
            proven.get("chair")
        (folder / name).write_bytes(kept)
        assert proven.get("chair").sha256


def test_other_bytes_of_the_same_size_and_age_are_another_asset(folder):
    _, proven = in_use(folder)
    path = folder / "chair.obj"
    age = path.stat()
    path.write_text(TRIANGLE.replace("v 1 0 0", "v 2 0 0"))
    os.utime(path, ns=(age.st_atime_ns, age.st_mtime_ns))
    with pytest.raises(AssetChanged, match="asset chair has changed"):
        proven.get("chair")


def test_equal_bytes_written_anew_are_the_same_asset(folder):
    files, proven = in_use(folder)
    (folder / "chair.obj").write_text(TRIANGLE)
    proven.get("chair")
    files.settle()


def test_a_file_that_is_touched_while_it_is_used_says_nothing(folder):
    files, proven = in_use(folder)
    proven.get("chair")
    (folder / "red.mtl").write_text(MATERIAL)
    with pytest.raises(FileUnreadable, match="was touched while it was read"):
        files.settle()


def test_a_file_that_is_gone_is_unreadable_and_usable_once_it_is_back(folder):
    files, proven = in_use(folder)
    (folder / "chair.obj").rename(folder / "away")
    with pytest.raises(FileUnreadable, match=r"chair\.obj cannot be read: No such file"):
        proven.get("chair")
    (folder / "away").rename(folder / "chair.obj")
    proven.get("chair")
    files.settle()


def test_a_flipped_bit_that_times_do_not_show_is_found_when_all_is_proven_again(folder):
    """As a rotten disk would: the bytes change, and nothing else does."""
    files, proven = in_use(folder)
    proven.get("chair")
    age = (folder / "textures" / "red.png").stat()
    with (folder / "textures" / "red.png").open("r+b") as stream:
        stream.write(b"R")
    os.utime(folder / "textures" / "red.png", ns=(age.st_atime_ns, age.st_mtime_ns))
    with pytest.raises(AssetChanged, match=r"textures/red\.png that .* refers to .* has other bytes"):
        files.prove_again()
