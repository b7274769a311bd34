"""What a file says of its alpha, colours, axes and place is what is seen, in every format (docs/assets.md's
table)."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pairbridge.datagen.blender.client import BlenderClient
from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec
from tests.datagen.blender.asset_files import (
    BOX_FACES,
    box_vertices,
    gltf_of_two_boxes,
    write_lighting,
    write_obj,
)

pytestmark = pytest.mark.render

VIEW = CameraSpec(azimuth_rad=0.6, elevation_rad=0.4, fov_x_rad=0.7)
# sRGB (10, 160, 40) as linear light, and what a glossy coat adds to the denoiser's albedo at most.
GREEN, GREEN_LINEAR, SPECULAR = (10, 160, 40), (0.003, 0.352, 0.021), 0.09
FAR = np.array([431234.5, 0, 5412345.5])


@pytest.fixture
def seen(blender: BlenderClient, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], np.ndarray]:
    """Loads and renders a file: the mean albedo where it covers the frame."""
    light = write_lighting(tmp_path_factory.mktemp("light") / "soft.exr", 1)

    def mean_albedo(path: Path) -> np.ndarray:
        blender.load_object(ObjectSpec(path=path))
        blender.set_camera(VIEW, (24, 24))
        passes = blender.render(environment_path=light, seed=1)
        assert (passes.rgba[..., 3] > 0.99).any()
        return passes.albedo[passes.rgba[..., 3] > 0.99].mean(axis=0)

    return mean_albedo


def picture(path: Path, alpha: int | None = None) -> Path:
    pixels = np.full((4, 4, 3), GREEN[::-1], np.uint8)
    if alpha is not None:
        pixels = np.dstack([pixels, np.full((4, 4), alpha, np.uint8)])
    cv2.imwrite(str(path), pixels)
    return path


def ply(path: Path, extra: dict[str, list], head: str = "", corners: np.ndarray | None = None) -> Path:
    corners = box_vertices((3, 1, 2)) if corners is None else corners
    lines = ["ply", "format ascii 1.0", *([head] if head else []), f"element vertex {len(corners)}"]
    lines += [f"property double {name}" for name in "xyz"]
    lines += [f"property {'uchar' if name in ('red', 'green', 'blue') else 'float'} {name}" for name in extra]
    lines += [f"element face {len(BOX_FACES)}", "property list uchar int vertex_indices", "end_header"]
    lines += [" ".join(map(str, [*row, *(extra[name][0] for name in extra)])) for row in corners.tolist()]
    lines += ["4 " + " ".join(str(corner - 1) for corner in face) for face in BOX_FACES]
    path.write_text("\n".join(lines) + "\n")
    return path


# --- Alpha


@pytest.mark.parametrize("suffix", [".glb", ".fbx", ".obj", ".usdc", ".blend"])
def test_alpha_that_the_material_does_not_use_changes_nothing(written: Path, seen, suffix: str) -> None:
    np.testing.assert_allclose(seen(written / "alpha0" / f"box{suffix}"), (0.01, 0.319, 0.033), atol=SPECULAR)


def test_a_material_that_is_transparent_everywhere_is_refused_by_its_name(
    blender: BlenderClient, tmp_path: Path
) -> None:
    box = write_obj(tmp_path / "a.obj", box_vertices((3, 1, 2)), material="Kd 1 0 0\nd 0")
    gltf, binary = gltf_of_two_boxes(None)
    gltf["materials"] = [{"alphaMode": "BLEND", "pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 0]}}]
    (tmp_path / "a.bin").write_bytes(binary)
    gltf["buffers"][0]["uri"] = "a.bin"
    (tmp_path / "a.gltf").write_text(json.dumps(gltf))
    for path in (box, tmp_path / "a.gltf"):
        with pytest.raises(AssetError, match="is transparent") as refused:
            blender.load_object(ObjectSpec(path=path))
        assert refused.value.fault == "transparent"


# --- Materials and colours


@pytest.mark.parametrize(
    "material",
    [
        "map_Kd green.png",
        "Kd 1 1 1\nmap_Ka green.png",
        "map_kd Textures\\Green.PNG",
        "map_Kd C:\\art\\GREEN.png",
    ],
)
def test_the_picture_that_a_library_means_is_seen(tmp_path: Path, seen, material: str) -> None:
    picture(tmp_path / "green.png")
    path = write_obj(tmp_path / "a.obj", box_vertices((3, 1, 2)), material=material)
    np.testing.assert_allclose(seen(path), GREEN_LINEAR, atol=SPECULAR)


def test_the_picture_that_a_usd_file_names_as_windows_does_is_seen(written: Path, seen) -> None:
    np.testing.assert_allclose(seen(written / "windows" / "box.usda"), (0.01, 0.319, 0.033), atol=SPECULAR)


def test_a_picture_that_was_never_fetched_is_called_so(blender: BlenderClient, tmp_path: Path) -> None:
    (tmp_path / "green.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    path = write_obj(tmp_path / "a.obj", box_vertices((3, 1, 2)), material="map_Kd green.png")
    with pytest.raises(
        AssetError, match=r"its texture green\.png is damaged: it is a Git LFS pointer"
    ) as refused:
        blender.load_object(ObjectSpec(path=path))
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize("names", [("s", "t"), ("u", "v"), ("texture_u", "texture_v")])
def test_the_picture_of_a_ply_is_seen(tmp_path: Path, seen, names: tuple[str, str]) -> None:
    picture(tmp_path / "green.png")
    path = ply(tmp_path / "a.ply", {name: [0.5] for name in names}, "comment TextureFile Green.png")
    np.testing.assert_allclose(seen(path), GREEN_LINEAR, atol=SPECULAR)


def test_a_picture_of_a_ply_that_is_gone_is_refused_by_its_name(
    blender: BlenderClient, tmp_path: Path
) -> None:
    path = ply(tmp_path / "a.ply", {"s": [0.5], "t": [0.5]}, "comment TextureFile green.png")
    with pytest.raises(AssetError, match=r"its texture green\.png is missing"):
        blender.load_object(ObjectSpec(path=path))


def test_colours_of_vertices_are_seen_with_and_beside_a_plain_material(tmp_path: Path, seen) -> None:
    colours = dict(zip(("red", "green", "blue"), ([value] for value in GREEN), strict=True))
    np.testing.assert_allclose(seen(ply(tmp_path / "a.ply", colours)), GREEN_LINEAR, atol=SPECULAR)
    for material in ("", "Kd 0.8 0.8 0.8"):
        path = write_obj(tmp_path / "a.obj", box_vertices((3, 1, 2)), material=material)
        lines = [
            f"{line} 0.04 0.63 0.16" if line[:2] == "v " else line for line in path.read_text().splitlines()
        ]
        path.write_text("\n".join(lines))
        np.testing.assert_allclose(seen(path), GREEN_LINEAR, atol=SPECULAR)


# --- Axes


@pytest.mark.parametrize(
    ("suffix", "up", "extent"),
    [
        # The box is 3 x 1 x 2, 2 high: as its writers have it, and with the other axis up.
        (".glb", None, (3, 1, 2)),
        (".glb", "y", (3, 1, 2)),
        (".glb", "z", (3, 2, 1)),
        (".obj", None, (3, 1, 2)),
        (".obj", "z", (3, 2, 1)),
        (".fbx", None, (3, 1, 2)),
        (".fbx", "z", (3, 1, 2)),  # written with z up
        (".fbx", "y", (3, 2, 1)),
        (".usdc", None, (3, 1, 2)),
        (".usdc", "z", (3, 1, 2)),
        (".usdc", "y", (3, 2, 1)),
        (".blend", None, (3, 1, 2)),
        (".blend", "y", (3, 2, 1)),
        (".stl", None, (3, 1, 2)),
        (".stl", "y", (3, 2, 1)),
        (".ply", None, (3, 2, 1)),  # as of a scan: y is up
        (".ply", "z", (3, 1, 2)),
    ],
)
def test_the_axis_that_is_said_to_be_up_is_up(
    blender: BlenderClient, written: Path, suffix: str, up: str | None, extent: tuple[float, ...]
) -> None:
    info = blender.load_object(ObjectSpec(path=written / f"box{suffix}", up=up))
    np.testing.assert_allclose(info.extent, extent, rtol=1e-5)


# --- Place


def test_a_scan_in_map_coordinates_keeps_its_shape_or_is_refused_by_its_cause(
    blender: BlenderClient, tmp_path: Path
) -> None:
    near = box_vertices((1, 2, 1)).astype(np.float64) * 1.375
    shifted = near + FAR
    radius = np.linalg.norm((1, 2, 1)) / 2 * 1.375
    lines = [f"v {x:.3f} {y:.3f} {z:.3f}" for x, y, z in shifted.tolist()]
    faces = ["f " + " ".join(map(str, face)) for face in BOX_FACES]
    (tmp_path / "a.obj").write_text("\n".join([*lines, *faces]))
    for path in (tmp_path / "a.obj", ply(tmp_path / "a.ply", {}, corners=shifted)):
        info = blender.load_object(ObjectSpec(path=path))
        assert info.radius == pytest.approx(radius, rel=1e-5)
        np.testing.assert_allclose(sorted(info.extent), np.array([1, 1, 2]) * 1.375, rtol=1e-5)

    gltf, binary = gltf_of_two_boxes("a.bin")
    gltf["nodes"][1]["translation"] = gltf["nodes"][0]["translation"] = FAR.tolist()
    del gltf["animations"]
    (tmp_path / "a.bin").write_bytes(binary)
    (tmp_path / "a.gltf").write_text(json.dumps(gltf))
    with pytest.raises(AssetError, match="times its size from the origin") as refused:
        blender.load_object(ObjectSpec(path=tmp_path / "a.gltf"))
    assert refused.value.fault == "far_from_origin"


def test_a_scene_of_a_gltf_is_drawn_without_the_others_and_without_hidden_nodes(
    blender: BlenderClient, tmp_path: Path
) -> None:
    gltf, binary = gltf_of_two_boxes("a.bin")
    (tmp_path / "a.bin").write_bytes(binary)
    del gltf["animations"], gltf["scene"]
    unit = np.linalg.norm((1, 1, 1)) / 2
    several = gltf | {"scenes": [{"nodes": [0]}, {"nodes": [1]}]}
    invisible = gltf["nodes"][1] | {"extensions": {"KHR_node_visibility": {"visible": False}}}
    hidden = gltf | {"nodes": [gltf["nodes"][0], invisible, {}]}
    for content in (several, hidden | {"extensionsUsed": ["KHR_node_visibility"]}):
        (tmp_path / "a.gltf").write_text(json.dumps(content))
        assert blender.load_object(ObjectSpec(path=tmp_path / "a.gltf")).radius == pytest.approx(
            unit, rel=1e-5
        )


def test_every_vertex_of_a_file_with_a_byte_order_mark_is_there(
    blender: BlenderClient, tmp_path: Path
) -> None:
    path = write_obj(tmp_path / "a.obj", box_vertices((3, 1, 2)))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert blender.load_object(ObjectSpec(path=path)).num_vertices == 8


def test_a_binary_stl_that_begins_with_solid_is_whole(blender: BlenderClient, tmp_path: Path) -> None:
    corners = box_vertices((3, 1, 2))
    triangles = [(face[0], face[i], face[i + 1]) for face in BOX_FACES for i in (1, 2)]
    facets = np.zeros(12, [("normal", "<3f4"), ("corners", "<9f4"), ("_", "<u2")])
    facets["corners"] = corners[np.array(triangles) - 1].reshape(-1, 9)
    data = b"solid exported by cad".ljust(80) + struct.pack("<I", 12) + facets.tobytes()
    for name, content in (("a.stl", data), ("trailing.stl", data + b"\0" * 16)):
        (tmp_path / name).write_bytes(content)
        assert blender.load_object(ObjectSpec(path=tmp_path / name)).num_faces == 12
