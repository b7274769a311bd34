"""Licences and authors, read from folders laid out as downloads leave them."""

import gzip
import json
import struct
from pathlib import Path

import pytest

from pairbridge.datagen.assets.catalogue import Asset, AssetsConfig
from pairbridge.datagen.sourcing.credits import spdx
from pairbridge.datagen.sourcing.sources import build_catalogue


def glb(path: Path, asset: dict) -> None:
    """A binary glTF with nothing but its asset entry."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"asset": {"version": "2.0"} | asset}).encode()
    path.write_bytes(
        struct.pack("<4sII", b"glTF", 2, 20 + len(text)) + struct.pack("<I4s", len(text), b"JSON") + text
    )


def written(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps(value).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def objects_of(root: Path) -> dict[str, Asset]:
    catalogue = build_catalogue(AssetsConfig(embedded=False, objects=(root,)), None)
    return {asset.id: asset for asset in catalogue.assets}


def test_an_objaverse_download_works_as_it_is(tmp_path: Path) -> None:
    uid = "8476c4170df24cf5bbe6967222d1a42d"
    glb(tmp_path / "glbs" / "000-023" / f"{uid}.glb", {})
    annotation = {
        "uid": uid,
        "uri": f"https://api.sketchfab.com/v3/models/{uid}",
        "viewerUrl": f"https://sketchfab.com/3d-models/{uid}",
        "license": "by-nc-sa",
        "user": {"username": "jo", "displayName": "Jo Smith"},
    }
    written(tmp_path / "metadata" / "000-023.json.gz", {uid: annotation, "other": {"license": "cc0"}})
    (found,) = objects_of(tmp_path).values()
    assert (found.licence, found.author) == ("CC-BY-NC-SA-4.0", "Jo Smith")
    assert found.source == f"https://sketchfab.com/3d-models/{uid}"


@pytest.mark.parametrize("index", ["annotations.json", "annotations.json.gz", "metadata.json"])
def test_an_index_at_the_root_or_above_the_file_is_found_by_stem(tmp_path: Path, index: str) -> None:
    glb(tmp_path / "deep" / "er" / "abc.glb", {})
    glb(tmp_path / "deep" / "er" / "def.glb", {})
    written(tmp_path / index, [{"uid": "abc", "license": "by", "user": "Ann"}])
    found = objects_of(tmp_path)
    assert (found["deep-er-abc"].licence, found["deep-er-abc"].author) == ("CC-BY-4.0", "Ann")
    assert found["deep-er-def"].licence == "unspecified"


def test_a_blenderkit_folder_works_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "leather-bag_a6e79b11"
    folder.mkdir(parents=True)
    (folder / "leather-bag_2K.blend").write_bytes(b"BLENDER")
    (folder / "thumbnail.jpg").write_bytes(b"")
    author = {"id": 7, "firstName": "Vera", "lastName": "Nova", "fullName": "Vera Nova"}
    written(folder / "asset.json", {"assetBaseId": "a6e79b11", "license": "royalty_free", "author": author})
    (found,) = objects_of(tmp_path).values()
    assert (found.licence, found.author) == ("LicenseRef-BlenderKit-Royalty-Free", "Vera Nova")
    assert found.source == "https://www.blenderkit.com/asset-gallery-detail/a6e79b11/"


def test_a_gltf_states_its_own_credit_and_a_side_file_overrules_it(tmp_path: Path) -> None:
    extras = {
        "author": "Kim (https://sketchfab.com/kim)",
        "license": "CC-BY-4.0 (http://creativecommons.org/licenses/by/4.0/)",
    }
    glb(tmp_path / "a.glb", {"extras": extras})
    glb(tmp_path / "b.glb", {"extras": extras})
    glb(tmp_path / "c.glb", {"copyright": "2024 Museum, CC0"})
    written(tmp_path / "b.json", {"licence": "CC0", "author": "Lee"})
    found = objects_of(tmp_path)
    assert (found["a"].licence, found["a"].author) == ("CC-BY-4.0", "Kim (https://sketchfab.com/kim)")
    assert (found["b"].licence, found["b"].author) == ("CC0-1.0", "Lee")
    assert found["c"].licence == "CC0-1.0"


def test_pins_overrule_downloads_and_damaged_side_files_say_nothing(tmp_path: Path) -> None:
    for name in ("a", "b"):
        glb(tmp_path / f"{name}.glb", {})
        (tmp_path / f"{name}.json").write_bytes(b"{broken")
    written(tmp_path / "a.json", {"license": "by", "author": "Ann"})
    (tmp_path / "annotations.json.gz").write_bytes(b"\x1f\x8bbroken")
    (tmp_path / "catalogue.yaml").write_text("a: {licence: MIT}\n")
    found = objects_of(tmp_path)
    assert (found["a"].licence, found["a"].author) == ("MIT", "Ann")
    assert (found["b"].licence, found["b"].author) == ("unspecified", "unspecified")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("by", "CC-BY-4.0"),
        ("by-nd", "CC-BY-ND-4.0"),
        ("cc0", "CC0-1.0"),
        ("cc_zero", "CC0-1.0"),
        ("CC Attribution", "CC Attribution"),
        ("CC BY-SA 3.0", "CC-BY-SA-3.0"),
        ("http://creativecommons.org/licenses/by-nc/4.0/", "CC-BY-NC-4.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("made by Jo", "made by Jo"),
        ("MIT", "MIT"),
    ],
)
def test_licences_get_their_spdx_name_and_other_text_stays(text: str, name: str) -> None:
    assert spdx(text) == name
