"""Which file a name inside another file means."""

from pathlib import Path

import pytest

from pairbridge.datagen.assets.object_files import companions
from pairbridge.datagen.assets.object_formats.file_references import find_beside


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Wood.png", "textures/Skin.JPG", "maps/a b.png", "textures/Ta\u0308t.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"picture")
    return tmp_path


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Wood.png", "Wood.png"),
        ("wood.PNG", "Wood.png"),
        ("Textures\\skin.jpg", "textures/Skin.JPG"),
        (".\\textures\\Skin.JPG", "textures/Skin.JPG"),
        ("C:\\Users\\someone\\Desktop\\Wood.png", "Wood.png"),
        ("D:/art/skin.jpg", "textures/Skin.JPG"),
        ("/home/someone/a b.png", "maps/a b.png"),
        ("\\\\server\\share\\Wood.png", "Wood.png"),
        ("sourceimages/Wood.png", "Wood.png"),
        ("textures/T\u00e4t.png", "textures/Ta\u0308t.png"),
        ("steel.png", None),
        ("", None),
        ("x" * 5000, None),
    ],
)
def test_a_reference_is_found_as_its_author_meant_it(folder: Path, written: str, meant: str | None) -> None:
    assert find_beside(folder, written) == meant


def test_an_absolute_path_never_reads_a_file_of_this_machine(folder: Path, tmp_path_factory) -> None:
    other = tmp_path_factory.mktemp("other") / "steel.png"
    other.write_bytes(b"picture")
    assert find_beside(folder, str(other)) is None


def test_what_is_found_travels_with_the_object(folder: Path) -> None:
    (folder / "Chair.mtl").write_text(
        "newmtl m\nmap_kd -clamp on -s 1 1 wood.PNG\nmap_Bump -bm 0.3 C:\\t\\skin.jpg\n"
    )
    (folder / "chair.obj").write_text("mtllib chair.MTL\nusemtl m\nv 0 0 0\n")
    assert companions(folder / "chair.obj") == ("Chair.mtl", "Wood.png", "textures/Skin.JPG")
    (folder / "a.gltf").write_text('\ufeff{"images": [{"uri": "Textures%5Cskin.jpg"}]}')
    assert companions(folder / "a.gltf") == ("textures/Skin.JPG",)
    head = "ply\nformat ascii 1.0\ncomment TextureFile WOOD.png\nelement vertex 1\n"
    (folder / "a.ply").write_text(head + "property float u\nproperty float v\nend_header\n")
    assert companions(folder / "a.ply") == ("Wood.png",)
