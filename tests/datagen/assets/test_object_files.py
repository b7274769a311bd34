"""What is said of an object's file before Blender reads it, on files written by hand."""

import struct
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.assets.object_files import check_object_file
from pairbridge.datagen.assets.object_rules import AddonConfig, ObjectRules
from pairbridge.datagen.core.errors import AssetError

RULES = ObjectRules()
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
NAN = np.array([[0, 0, 0], [1, 0, 0], [0, np.nan, 0]], np.float32)


def stl(corners: np.ndarray) -> bytes:
    facet = np.zeros(1, [("normal", "<3f4"), ("corners", "<9f4"), ("_", "<u2")])
    facet["normal"], facet["corners"] = np.nan, corners.ravel()  # a NaN normal is common and harmless
    return b"\0" * 80 + struct.pack("<I", 1) + facet.tobytes()


def ply(corners: np.ndarray, encoding: str) -> bytes:
    kind = "<f4" if encoding == "binary_little_endian" else ">f4"
    head = (
        f"ply\nformat {encoding} 1.0\ncomment nan in a comment\nelement vertex 3\nproperty float x\n"
        "property float y\nproperty float z\nelement face 1\n"
        "property list uchar int vertex_indices\nend_header\n"
    )
    if encoding == "ascii":
        return (
            head + "\n".join(" ".join(map(str, row)) for row in corners.tolist()) + "\n3 0 1 2\n"
        ).encode()
    return (
        head.encode() + corners.astype(kind).tobytes() + b"\3" + np.arange(3).astype(kind[0] + "i4").tobytes()
    )


def fault_of(path: Path, data: bytes, rules: ObjectRules = RULES) -> str | None:
    path.write_bytes(data)
    try:
        check_object_file(path, rules)
    except AssetError as refused:
        return refused.fault
    return None


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ply_vertices_are_checked_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    assert fault_of(tmp_path / "a.ply", ply(CORNERS, encoding)) is None
    assert fault_of(tmp_path / "a.ply", ply(NAN, encoding)) == "not_finite"


def test_stl_is_checked_for_length_and_vertices_in_both_forms(tmp_path: Path) -> None:
    path = tmp_path / "a.stl"
    assert fault_of(path, stl(CORNERS)) is None
    assert fault_of(path, stl(NAN)) == "not_finite"
    assert fault_of(path, stl(CORNERS)[:-1]) == "truncated"
    text = "solid a\nfacet normal nan nan nan\nouter loop\nvertex 0 0 {}\nendloop\nendfacet\n"
    assert fault_of(path, (text.format(1) + "endsolid a\n").encode()) is None
    assert fault_of(path, (text.format("nan") + "endsolid a\n").encode()) == "not_finite"
    assert fault_of(path, text.format(1).encode()) == "truncated"


def test_obj_numbers_are_told_from_names(tmp_path: Path) -> None:
    path = tmp_path / "a.obj"
    assert fault_of(path, b"o nan\nv 0 0 1\nusemtl inf\nvn nan 0 0\n") is None
    assert fault_of(path, b"v 0 0 1\nv 0 -NaN(ind) 1\n") == "not_finite"
    assert fault_of(path, b"v 0 0 1\nv inf 0 1\n") == "not_finite"


@pytest.mark.parametrize(
    ("name", "data", "found"),
    [
        ("a.glb", b"\x89PNG\r\n\x1a\n", "a PNG"),
        ("a.usdz", b"\xff\xd8\xff\xe0", "a JPEG"),
        ("a.blend", b"PK\x03\x04", "a ZIP archive"),
        ("a.fbx", b"glTF\2\0\0\0", "a binary glTF"),
        ("a.stl", b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "a PNG"),
        ("a.gltf", b"glTF\2\0\0\0", "a binary glTF"),
    ],
)
def test_a_wrong_suffix_says_what_the_file_is(tmp_path: Path, name: str, data: bytes, found: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(AssetError, match=found) as refused:
        check_object_file(tmp_path / name, RULES)
    assert refused.value.fault == "wrong_suffix"


def test_size_limits_and_unknown_suffixes(tmp_path: Path) -> None:
    heavy = b"v 0 0 0\n" + b"#" * (3 << 20)
    assert fault_of(tmp_path / "a.obj", heavy, ObjectRules(max_file_mib=1)) == "file_too_large"
    assert fault_of(tmp_path / "a.obj", heavy, ObjectRules(max_file_mib=4)) is None
    assert fault_of(tmp_path / "a.obj", b"") == "empty_file"
    # An add-on's format is the add-on's affair.
    assert fault_of(tmp_path / "a.mhx2", b"anything") is None


def test_wrong_rules_are_refused() -> None:
    with pytest.raises(ValueError, match="lower end first"):
        ObjectRules(radius=(2.0, 1.0))
    with pytest.raises(ValueError, match="operator"):
        AddonConfig(path=Path("x"), imports={".a": "bpy.ops.wm.a(filepath)"})
