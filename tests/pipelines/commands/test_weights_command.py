"""`pairbridge weights` as a user meets it. The hub is a folder here: nothing may reach for a network."""

import json
import shutil
import socket
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from safetensors.numpy import save_file

from pairbridge.datagen.models.weights.weights_manifest import find_files

COMMIT = "c" * 40
BASE = "realistic-vision-v51"  # pinned, and without checksums: any bytes will do


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("something reached out to a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch) -> dict:
    """Stands where the hub is: hands out files of a folder, and notes what was asked for."""
    folder, asked = tmp_path / "hub", []
    write_base(folder)

    def download(repository: str, path: str, *, revision: str, local_dir: Path) -> str:
        asked.append((repository, path, revision))
        if not (folder / path).is_file():
            raise OSError(f"404: {path}")
        target = Path(local_dir) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return shutil.copy(folder / path, target)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return {"folder": folder, "asked": asked}


def write_base(folder: Path) -> None:
    for path in (*find_files(BASE), "model.safetensors"):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".safetensors":
            save_file({"weight": np.ones(3, np.float32)}, file)
        else:
            file.write_text("{}")


def test_list_shows_licences_with_the_non_commercial_ones_first(pairbridge) -> None:
    status, out, _ = pairbridge("weights", "list")
    lines = out.splitlines()
    assert status == 0
    assert "RMBG-2.0" in lines[1]
    assert "NON-COMMERCIAL: CC BY-NC 4.0" in lines[1]
    for name in ("ic-light", "realistic-vision-v51", "BiRefNet-matting", "CreativeML OpenRAIL-M", "MIT"):
        assert name in out


def test_check_of_an_empty_folder_says_what_that_means(pairbridge, tmp_path: Path) -> None:
    status, out, _ = pairbridge("weights", "check", "--folder", tmp_path)
    assert status == 0
    assert "stand-ins work without" in out
    status, out, _ = pairbridge("weights", "check", "ic-light", "--folder", tmp_path)
    assert status == 1
    assert "ic-light: absent" in out


def test_check_reads_every_file_and_finds_the_damaged_one(pairbridge, tmp_path: Path) -> None:
    write_base(tmp_path / BASE)
    status, out, _ = pairbridge("weights", "check", "--folder", tmp_path)
    assert status == 0
    assert f"{BASE}: usable" in out
    assert "no checksum is known" in out
    path = tmp_path / BASE / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    status, out, _ = pairbridge("weights", "check", "--folder", tmp_path)
    assert status == 1
    assert "damaged   unet/diffusion_pytorch_model.safetensors" in out


def test_check_holds_known_checksums_against_the_files(pairbridge, tmp_path: Path) -> None:
    (tmp_path / "ic-light").mkdir()
    for path in find_files("ic-light"):
        save_file({"weight": np.ones(3, np.float32)}, tmp_path / "ic-light" / path)
    status, out, _ = pairbridge("weights", "check", "--folder", tmp_path)
    assert status == 1
    assert "the manifest has bb8ccedaa4944b16" in out


def test_fetch_takes_the_pinned_revision_and_only_the_listed_files(pairbridge, hub, tmp_path: Path) -> None:
    root = tmp_path / "weights"
    (hub["folder"] / "pytorch_model.bin").write_bytes(b"pickle")
    status, out, err = pairbridge("weights", "fetch", BASE, "--folder", root)
    assert (status, err) == (0, "")
    assert out.index("CreativeML OpenRAIL-M") < out.index(" -> ")
    assert [path for _, path, _ in hub["asked"]] == list(find_files(BASE))
    assert {revision for _, _, revision in hub["asked"]} == {"19e3643d7d963c156d01537188ec08f0b79a514a"}
    record = json.loads((root / BASE / "fetched.json").read_text())
    assert record["revision"].startswith("19e3643d")
    status, out, _ = pairbridge("weights", "check", BASE, "--folder", root)
    assert status == 0
    assert out.count("as it was fetched") == len(find_files(BASE))


def test_what_arrives_wrong_is_refused(pairbridge, hub, tmp_path: Path) -> None:
    for path in find_files("ic-light"):
        save_file({"weight": np.ones(3, np.float32)}, hub["folder"] / path)
    status, _, err = pairbridge("weights", "fetch", "ic-light", "--folder", tmp_path / "weights")
    assert status == 1
    assert "is not what the manifest names: iclight_sd15_fbc.safetensors" in err


def test_a_file_the_hub_does_not_give_ends_with_a_remedy(pairbridge, hub, tmp_path: Path) -> None:
    (hub["folder"] / "vae" / "config.json").unlink()
    status, _, err = pairbridge("weights", "fetch", BASE, "--folder", tmp_path / "weights")
    assert status == 1
    assert "404: vae/config.json" in err
    assert "run the same command again" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RMBG-2.0", "--revision", COMMIT], "not for commercial use"),
        (["BiRefNet_HR"], "no pinned revision of ZhengPeng7/BiRefNet_HR is known"),
        (["BiRefNet_HR", "--revision", "main"], "'main' is no commit"),
        ([BASE, "--revision", COMMIT], "is pinned to 19e3643d"),
        ([BASE, "no-such"], "no model 'no-such'"),
    ],
)
def test_fetch_refuses_before_the_first_byte(pairbridge, hub, tmp_path: Path, arguments, message) -> None:
    status, _, err = pairbridge("weights", "fetch", *arguments, "--folder", tmp_path / "weights")
    assert status == 1
    assert message in err
    assert hub["asked"] == []
    assert not (tmp_path / "weights").exists()


def test_a_non_commercial_licence_is_shown_before_its_model_is_fetched(
    pairbridge, hub, tmp_path: Path
) -> None:
    root = tmp_path / "weights"
    accepted = ("--accept-non-commercial", "--revision", COMMIT)
    status, out, _ = pairbridge("weights", "fetch", "RMBG-2.0", *accepted, "--folder", root)
    assert status == 0
    assert out.startswith("RMBG-2.0: NON-COMMERCIAL: CC BY-NC 4.0")
    assert hub["asked"] == [("briaai/RMBG-2.0", "model.safetensors", COMMIT)]
