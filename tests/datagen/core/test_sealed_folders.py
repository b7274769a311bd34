"""A folder whose manifest was written last: whatever is not as it says is named, and nothing hangs on it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pairbridge.datagen.core.sealed_folders import (
    SEAL_NAME,
    check_sealed,
    names_to_check,
    read_seal,
    seal_folder,
    sealed_files,
)


class Unusable(Exception):
    pass


def unusable(path: Path, why: str) -> Unusable:
    return Unusable(f"{path.name}: {why}")


def check(folder: Path) -> None:
    seal = read_seal(folder, unusable)
    check_sealed(folder, seal, unusable, names_to_check(folder, seal))


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    (tmp_path / "state.json").write_text("{}")
    (tmp_path / "ema.safetensors").write_bytes(bytes(range(64)))
    seal_folder(tmp_path, sealed_files(tmp_path, [tmp_path / "state.json", tmp_path / "ema.safetensors"]))
    return tmp_path


def listing(edit: Callable[[dict], object]) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        content = json.loads((folder / SEAL_NAME).read_bytes())
        edit(content["files"])
        (folder / SEAL_NAME).write_text(json.dumps(content))

    return damage


def instead_of_the_weights(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        (folder / "ema.safetensors").unlink()
        make(folder / "ema.safetensors")

    return damage


NOTHING = {"bytes": 0, "sha256": "0" * 64}
# What is done to the folder, and the file that is named.
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda folder: (folder / SEAL_NAME).unlink(), SEAL_NAME),
    "an empty manifest": (lambda folder: (folder / SEAL_NAME).write_bytes(b""), SEAL_NAME),
    "weights that are not listed": (listing(lambda files: files.pop("ema.safetensors")), "ema.safetensors"),
    "a device that is listed": (listing(lambda files: files.update({"/dev/zero": NOTHING})), "zero"),
    "a file elsewhere": (listing(lambda files: files.update({"../../etc/hosts": NOTHING})), "hosts"),
    "lost weights": (instead_of_the_weights(lambda path: None), "ema.safetensors"),
    "empty weights": (instead_of_the_weights(Path.touch), "ema.safetensors"),
    "other weights": (instead_of_the_weights(lambda path: path.write_bytes(bytes(64))), "ema.safetensors"),
    "a folder": (instead_of_the_weights(Path.mkdir), "ema.safetensors"),
    "a pipe": (instead_of_the_weights(os.mkfifo), "ema.safetensors"),
    "a link to itself": (instead_of_the_weights(lambda path: path.symlink_to(path)), "ema.safetensors"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", DAMAGE)
def test_whatever_is_not_as_the_manifest_says_is_named(sealed: Path, kind: str) -> None:
    check(sealed)
    damage, named = DAMAGE[kind]
    damage(sealed)
    with pytest.raises(Unusable, match=f"^{named}: "):
        check(sealed)


def test_a_file_that_somebody_keeps_beside_it_changes_nothing(sealed: Path) -> None:
    (sealed / "notes.txt").write_text("the good one")
    check(sealed)
