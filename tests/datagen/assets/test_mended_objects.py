"""What is written anew for Blender's importers, and what is refused by its cause instead."""

import contextlib
import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.assets.object_files import check_object_file
from pairbridge.datagen.assets.object_formats.unusable_objects import importer_reason
from pairbridge.datagen.assets.object_rules import ObjectRules
from pairbridge.datagen.core.errors import AssetError
from tests.datagen.blender.asset_files import gltf_of_two_boxes

RULES = ObjectRules()
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0]], np.float64)
FAR = np.array([431234.5, 0, 5412345.5])
BOM = b"\xef\xbb\xbf"


def mended(path: Path, data: bytes | str) -> dict[str, bytes]:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return check_object_file(path, RULES)


def refusal(path: Path, data: bytes | str) -> AssetError:
    with pytest.raises(AssetError) as refused:
        mended(path, data)
    assert str(path.parent) not in str(refused.value)  # no path of the machine
    return refused.value


def obj(corners: np.ndarray, before: str = "", rest: str = "") -> str:
    lines = [f"v {x:.3f} {y:.3f} {z:.3f}{rest}" for x, y, z in corners.tolist()]
    return before + "\n".join([*lines, "f 1 2 3"]) + "\n"


def obj_corners(text: bytes) -> np.ndarray:
    return np.array([line.split()[1:4] for line in text.splitlines() if line.startswith(b"v ")], np.float64)


def ply(
    columns: dict[str, tuple[str, list]], encoding: str = "ascii", comment: str = "", face: str = ""
) -> bytes:
    head = f"ply\nformat {encoding} 1.0\n{comment}element vertex 3\n"
    head += "".join(f"property {kind} {name}\n" for name, (kind, _) in columns.items())
    head += f"element face 1\nproperty list uchar int vertex_indices\n{face}end_header\n"
    if encoding == "ascii":
        rows = zip(*(values for _, values in columns.values()), strict=True)
        return (head + "".join(" ".join(map(str, row)) + "\n" for row in rows) + "3 0 1 2\n").encode()
    kinds = {"float": "<f4", "double": "<f8"}
    rows = np.zeros(3, [(name, kinds[kind]) for name, (kind, _) in columns.items()])
    for name, (_, values) in columns.items():
        rows[name] = values
    return head.encode() + rows.tobytes() + b"\3" + np.arange(3, dtype="<i4").tobytes()


def axes(corners: np.ndarray, kind: str = "float") -> dict[str, tuple[str, list]]:
    return {name: (kind, corners[:, index].tolist()) for index, name in enumerate("xyz")}


def stl(corners: np.ndarray, header: bytes = b"", count: int | None = None) -> bytes:
    facets = np.zeros(len(corners) // 3, [("normal", "<3f4"), ("corners", "<9f4"), ("_", "<u2")])
    facets["corners"] = corners.reshape(-1, 9)
    return header.ljust(80) + struct.pack("<I", len(facets) if count is None else count) + facets.tobytes()


def stl_corners(data: bytes) -> np.ndarray:
    count = struct.unpack_from("<I", data, 80)[0]
    assert len(data) == 84 + 50 * count
    facets = np.frombuffer(data, [("normal", "<3f4"), ("corners", "<9f4"), ("_", "<u2")], count, 84)
    return facets["corners"].reshape(-1, 3)


# --- Far from the origin


def test_far_coordinates_are_moved_to_the_origin_in_double_precision(tmp_path: Path) -> None:
    shape = CORNERS - CORNERS[0]
    near = obj_corners(mended(tmp_path / "a.obj", obj(CORNERS + FAR))["a.obj"])
    np.testing.assert_allclose(near - near[0], shape, atol=1e-9)
    assert np.abs(near).max() <= 2

    text = (
        "solid a\n"
        + "".join("vertex {:.3f} {:.3f} {:.3f}\n".format(*row) for row in CORNERS + FAR)
        + "endsolid a"
    )
    near = stl_corners(mended(tmp_path / "a.stl", text)["a.stl"])
    np.testing.assert_allclose(near - near[0], shape, atol=1e-6)

    for encoding in ("ascii", "binary_little_endian"):
        data = mended(tmp_path / "a.ply", ply(axes(CORNERS + FAR, "double"), encoding))["a.ply"]
        body = data.partition(b"end_header\n")[2]
        rows = (
            np.array([line.split() for line in body.splitlines()[:3]], np.float64)
            if encoding == "ascii"
            else np.frombuffer(body, "<f8", 9).reshape(3, 3)
        )
        np.testing.assert_allclose(rows - rows[0], shape, atol=1e-9)


def test_a_shape_that_single_precision_has_lost_is_refused_by_its_cause(tmp_path: Path) -> None:
    for path, data in (
        (tmp_path / "a.ply", ply(axes(CORNERS + FAR), "binary_little_endian")),
        (tmp_path / "a.stl", stl(CORNERS + FAR)),
    ):
        error = refusal(path, data)
        assert error.fault == "far_from_origin"
        assert "times its size from the origin" in error.cause


def test_what_lies_near_is_read_as_it_is(tmp_path: Path) -> None:
    assert mended(tmp_path / "a.obj", obj(CORNERS + 50)) == {}
    assert mended(tmp_path / "a.stl", stl(CORNERS)) == {}
    assert mended(tmp_path / "a.ply", ply(axes(CORNERS))) == {}


# --- Byte order marks


@pytest.mark.parametrize("name", ["a.obj", "a.ply", "a.stl", "a.gltf"])
def test_a_byte_order_mark_costs_nothing(tmp_path: Path, name: str) -> None:
    text = {
        "a.obj": obj(CORNERS),
        "a.ply": ply(axes(CORNERS)).decode(),
        "a.stl": "solid a\nfacet\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 2 0\nendfacet\nendsolid a\n",
        "a.gltf": json.dumps({"asset": {"version": "2.0"}}),
    }[name]
    read = mended(tmp_path / name, BOM + text.encode())[name]
    if name == "a.stl":
        np.testing.assert_array_equal(stl_corners(read), CORNERS)
    else:
        assert read == text.encode()


# --- OBJ


def test_numbers_in_comments_and_names_are_none(tmp_path: Path) -> None:
    assert (
        mended(
            tmp_path / "a.obj", obj(CORNERS, "# v nan\no inf\n") + "v 1 1 1 # info about inf\nvn nan 0 0\n"
        )
        == {}
    )
    assert (
        "vertices' colours are not finite" in refusal(tmp_path / "a.obj", obj(CORNERS, rest=" 1 nan 0")).cause
    )
    assert "its vertices are" not in refusal(tmp_path / "a.obj", obj(CORNERS, rest=" 1 nan 0")).cause
    assert refusal(tmp_path / "a.obj", "v 1,5 2,0 3,0\nf 1 1 1\n").fault == "damaged"


def test_a_material_library_that_is_gone_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.obj"
    error = refusal(path, obj(CORNERS, "mtllib painted.mtl\nusemtl red\n"))
    assert error.fault == "missing_material"
    assert "painted.mtl" in error.cause
    # Vertices with colours need none; a file that names no library misses none.
    assert mended(path, obj(CORNERS, "mtllib painted.mtl\nusemtl red\n", " 1 0 0")) == {
        path.name: path.read_bytes()
    }
    assert mended(path, obj(CORNERS, "usemtl red\n")) == {}
    (tmp_path / "painted.mtl").write_text("newmtl blue\nKd 0 0 1\n")
    assert "'red'" in refusal(path, obj(CORNERS, "mtllib painted.mtl\nusemtl red\n")).cause
    # The only library there takes the place of one that was renamed.
    assert (
        "newmtl blue" in mended(path, obj(CORNERS, "mtllib old.mtl\nusemtl blue\n"))["materials.mtl"].decode()
    )


@pytest.mark.parametrize(
    ("library", "drawn"),
    [
        ("map_Ka wood.png", "map_Kd {}/wood.png"),
        ("Kd 0.8 0.8 0.8\nmap_Ka wood.png", "map_Kd {}/wood.png"),
        ("map_kd Textures\\Wood.png", "map_Kd {}/wood.png"),
        ("map_Kd -s 1 1 1 -clamp on C:\\art\\wood.png", "map_Kd -s 1 1 1 -clamp on {}/wood.png"),
        ("Ka 1 0 0", "Kd 1 0 0"),
        ("map_opacity WOOD.png", "map_d {}/wood.png"),
    ],
)
def test_materials_are_written_as_blender_reads_them(tmp_path: Path, library: str, drawn: str) -> None:
    (tmp_path / "wood.png").write_bytes(b"picture")
    (tmp_path / "a.mtl").write_text(f"newmtl m\n{library}\n")
    read = mended(tmp_path / "a.obj", obj(CORNERS, "mtllib a.mtl\nusemtl m\n"))
    assert drawn.format(tmp_path) in read["materials.mtl"].decode().splitlines()
    assert read["a.obj"].startswith(b"mtllib materials.mtl\n")
    assert read["a.obj"].count(b"mtllib") == 1


def test_a_library_that_blender_reads_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "my wood.png").write_bytes(b"picture")
    (tmp_path / "a.mtl").write_text("newmtl m\nKa 1 1 1\nKd 1 0 0\nmap_Ka my wood.png\nmap_Kd my wood.png\n")
    assert mended(tmp_path / "a.obj", obj(CORNERS, "mtllib a.mtl\nusemtl m\n")) == {}


# --- PLY


def test_normals_and_comments_of_a_ply_may_be_anything_but_its_colours_not(tmp_path: Path) -> None:
    nan = [0.0, float("nan"), 0.0]
    path = tmp_path / "a.ply"
    for encoding in ("ascii", "binary_little_endian"):
        columns = axes(CORNERS)
        assert mended(path, ply(columns | {"nx": ("float", nan)}, encoding, "comment nan\n")) == {}
        assert "colours" in refusal(path, ply(columns | {"red": ("float", nan)}, encoding)).cause
        assert "vertices are not" in refusal(path, ply(columns | {"y": ("float", nan)}, encoding)).cause


def test_points_and_splats_are_refused_as_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    splat = {"f_dc_0": ("float", [0, 0, 0]), "opacity": ("float", [1, 1, 1]), "rot_0": ("float", [0, 0, 0])}
    error = refusal(path, ply(axes(CORNERS) | splat))
    assert error.fault == "gaussian_splat"
    assert "Gaussian splat" in error.cause
    points = ply(axes(CORNERS)).replace(b"element face 1", b"element face 0")
    assert "point cloud" in refusal(path, points).cause


def test_texture_coordinates_and_colours_go_by_the_names_that_blender_knows(tmp_path: Path) -> None:
    columns = axes(CORNERS) | {
        name: ("float", [0, 1, 0]) for name in ("texture_u", "texture_v", "diffuse_red")
    }
    head = mended(tmp_path / "a.ply", ply(columns))["a.ply"].decode()
    assert "property float s\nproperty float t\nproperty float red\n" in head
    colours = "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
    for face in ("property list uchar float texcoord\n", colours):
        assert refusal(tmp_path / "a.ply", ply(axes(CORNERS), face=face)).fault == "unsupported"


# --- STL


def test_a_binary_stl_is_told_by_its_contents(tmp_path: Path) -> None:
    path = tmp_path / "a.stl"
    whole = stl(CORNERS, b"solid exported by cad")
    assert mended(path, whole) == {}
    for data in (whole + b"\0" * 16, stl(CORNERS, b"solid"[:5], count=0), stl(CORNERS, count=0xFFFFFFFF)):
        np.testing.assert_array_equal(stl_corners(mended(path, data)["a.stl"]), CORNERS)
    assert refusal(path, whole[:-1]).fault == "truncated"
    assert mended(path, stl(CORNERS, b"BMW part")) == {}  # begins like a BMP


# --- glTF


def two_boxes(**changes) -> dict:
    gltf, _binary = gltf_of_two_boxes("box.bin")
    return gltf | changes


def read_gltf(tmp_path: Path, gltf: dict) -> dict | None:
    (tmp_path / "box.bin").write_bytes(gltf_of_two_boxes(None)[1])
    read = mended(tmp_path / "a.gltf", json.dumps(gltf))
    return json.loads(read["a.gltf"]) if read else None


def test_one_scene_of_several_is_drawn(tmp_path: Path) -> None:
    gltf = two_boxes(scenes=[{"nodes": [0]}, {"nodes": [1]}])
    del gltf["scene"]
    assert read_gltf(tmp_path, gltf)["scenes"] == [{"nodes": [0]}]
    chosen = read_gltf(tmp_path, gltf | {"scene": 1})
    assert (chosen["scene"], chosen["scenes"]) == (0, [{"nodes": [1]}])
    assert read_gltf(tmp_path, two_boxes()) is None


def test_a_node_that_is_listed_twice_or_under_its_parent_too_is_drawn_once(tmp_path: Path) -> None:
    assert read_gltf(tmp_path, two_boxes(scenes=[{"nodes": [0, 0, 1]}]))["scenes"] == [{"nodes": [0, 1]}]
    gltf = two_boxes(scenes=[{"nodes": [0, 1]}], nodes=[{"children": [1]}, {"mesh": 0}])
    assert read_gltf(tmp_path, gltf)["scenes"] == [{"nodes": [0]}]


def test_hidden_nodes_and_what_hangs_under_them_are_not_drawn(tmp_path: Path) -> None:
    hidden = {"extensions": {"KHR_node_visibility": {"visible": False}}, "children": [1]}
    gltf = two_boxes(nodes=[hidden, {"mesh": 0}, {"mesh": 0}], scenes=[{"nodes": [0, 2]}])
    gltf |= {"extensionsUsed": ["KHR_node_visibility"], "extensionsRequired": ["KHR_node_visibility"]}
    read = read_gltf(tmp_path, gltf)
    assert ["mesh" in node for node in read["nodes"]] == [False, False, True]
    assert read["extensionsRequired"] == []


def test_a_hidden_node_below_itself_ends(tmp_path: Path) -> None:
    node = {"extensions": {"KHR_node_visibility": {"visible": False}}, "children": [0], "mesh": 0}
    assert "mesh" not in read_gltf(tmp_path, two_boxes(nodes=[node], scenes=[{"nodes": []}]))["nodes"][0]


@pytest.mark.parametrize(
    "name", ["KHR_texture_basisu", "EXT_texture_avif", "EXT_meshopt_compression", "MSFT_texture_dds"]
)
def test_an_extension_that_is_not_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "box.bin").write_bytes(b"")
    required = two_boxes(extensionsUsed=[name], extensionsRequired=[name])
    without_fallback = two_boxes(textures=[{"extensions": {name: {"source": 0}}}])
    compressed = two_boxes(buffers=[{"byteLength": 9, "extensions": {name: {"fallback": True}}}])
    for gltf in (required, without_fallback, compressed):
        error = refusal(tmp_path / "a.gltf", json.dumps(gltf))
        assert error.fault == "unsupported"
        assert name in error.cause
    # A texture with a picture that every reader knows is drawn with it.
    assert (
        read_gltf(tmp_path, two_boxes(textures=[{"source": 0, "extensions": {name: {"source": 1}}}])) is None
    )


def test_buffers_of_a_gltf_are_found_or_named(tmp_path: Path) -> None:
    (tmp_path / "Box.bin").write_bytes(gltf_of_two_boxes(None)[1])
    gltf, _ = gltf_of_two_boxes("..\\export\\box.BIN")
    read = json.loads(mended(tmp_path / "a.gltf", json.dumps(gltf))["a.gltf"])
    assert read["buffers"][0]["uri"] == f"{tmp_path}/Box.bin"
    (tmp_path / "Box.bin").unlink()
    error = refusal(tmp_path / "a.gltf", json.dumps(gltf))
    assert error.fault == "missing_buffer"
    assert "box.BIN" in error.cause


# --- Broken headers


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (
            "a.ply",
            b"ply\nformat ascii 1.0\nelement vertex 99999999999999999999\nproperty float x\nend_header\n",
        ),
        ("a.ply", b"ply\nformat binary_little_endian 1.0\nelement vertex 3\nelement face 1\nend_header\n"),
        (
            "a.ply",
            b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float x\nelement face 1\n",
        ),
        ("a.ply", b"ply\nformat\nelement face 1\nproperty\nend_header\n"),
        ("a.stl", b"\xff" * 84),
        ("a.glb", b"glTF" + b"\0" * 8),
        (
            "a.gltf",
            b'{"nodes": [{"children": 7}], "scenes": [{"nodes": 3}, 4], "scene": {}, "textures": [1]}',
        ),
        ("a.gltf", b'{"buffers": [{"uri": 5, "extensions": []}], "scenes": [], "scene": 9}'),
        ("a.gltf", b"[" * 100000),
        ("a.obj", b"mtllib " + b"x" * 9000 + b"\nv 1e999 0 0\n"),
        ("a.obj", b"mtllib \\\\\nusemtl .\nmtllib ..\n"),
    ],
)
def test_no_header_stops_a_run(tmp_path: Path, name: str, data: bytes) -> None:
    # Read or refused: any other exception would end a run.
    with contextlib.suppress(AssetError):
        mended(tmp_path / name, data)


# --- Reasons


def test_an_importers_report_is_told_by_its_cause_without_paths_of_the_machine() -> None:
    report = (
        "Error: Python: Traceback (most recent call last):\n"
        '  File "/opt/venv/bpy/ops.py", line 109, in __call__\n'
        "RuntimeError: could not read /data/users/me/chair.bin: it ends early\n"
        "Location: /opt/venv/lib/python3.11/site-packages/bpy/4.5/scripts/modules/bpy/ops.py:109\n"
    )
    assert importer_reason(report) == "RuntimeError: could not read chair.bin: it ends early"
    assert importer_reason("") == "its importer failed and said nothing"


def test_every_test_that_the_table_of_traits_names_exists() -> None:
    root = Path(__file__).parents[3]
    named = set(re.findall(r"`(test_\w+)`", (root / "docs/assets.md").read_text()))
    code = "".join(path.read_text() for path in sorted((root / "tests/datagen").rglob("test_*.py")))
    assert len(named) > 15
    assert {name for name in named if f"def {name}(" not in code} == set()
