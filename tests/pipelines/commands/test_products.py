"""`pairbridge export | merge | verify --require-known-licences`, as a user meets them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tiny_dataset import TinyDataset, TinyRecipe, asset


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    cups = tuple(asset(split, "cup", licence="ask Jo") for split in ("train", "test"))
    return [
        TinyDataset(name="a", recipes={"relight": TinyRecipe(groups={"train": 2})}).write(tmp_path / "a"),
        TinyDataset(
            name="b",
            plan="b",
            recipes={"removal": TinyRecipe(groups={"test": 1}, kind="photo_removal")},
            assets=cups,
        ).write(tmp_path / "b"),
    ]


def test_parts_are_merged_proved_and_exported(pairbridge, parts, tmp_path) -> None:
    whole = tmp_path / "whole"
    assert pairbridge("merge", *parts, "--out", whole) == (0, f"{whole}: 2 recipes of 2 datasets\n", "")
    assert pairbridge("verify", whole, "--decode")[0] == 0
    status, out, _ = pairbridge("export", whole, "--to", "folders", "--out", tmp_path / "plain")
    assert (status, out) == (0, f"6 pairs in {tmp_path / 'plain'}\n")
    assert len(list((tmp_path / "plain").glob("removal/test/source/*.png"))) == 2


def test_what_is_refused_is_refused_with_status_1_and_a_remedy(pairbridge, parts, tmp_path) -> None:
    status, _, err = pairbridge("merge", parts[0], parts[0], "--out", tmp_path / "whole")
    assert status == 1
    assert "relight" in err
    assert "remedy: " in err
    asked = ("export", parts[1], "--to", "folders", "--out", tmp_path / "plain", "--require-known-licences")
    status, _, err = pairbridge(*asked)
    assert status == 1
    assert "cup-test (ask Jo)" in err
    status, out, _ = pairbridge("verify", parts[1], "--require-known-licences")
    assert status == 1
    assert "cup-train is not known: ask Jo" in out
    assert pairbridge("export", parts[0], "--to", "zip", "--out", tmp_path / "plain")[0] == 2
    assert not (tmp_path / "plain").exists()


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A filesystem of 40 KiB, or a skip where mounting is not permitted."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk needs the right to mount: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("command", ["folders", "hf", "energon", "merge"])
def test_a_full_disk_leaves_nothing_under_the_name(pairbridge, tmp_path, small_disk, command: str) -> None:
    recipe = TinyRecipe(groups={"train": 4}, size_WH=(64, 64))
    large = TinyDataset(recipes={"relight": recipe}, groups_per_shard=1).write(tmp_path / "large")
    out = ("--out", small_disk / "out")
    status, _, err = pairbridge(
        *(("merge", large) if command == "merge" else ("export", large, "--to", command)), *out
    )
    assert status == 1
    assert "error: no space left" in err
    assert list(small_disk.iterdir()) == []
