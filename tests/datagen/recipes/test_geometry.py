"""Depth and normals of rendered pairs against closed forms: a sphere and a plane, each at three poses."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import DatasetPlan, make_plan
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.shards.fields import FIELDS
from pairbridge.datagen.sourcing.sources import build_catalogue
from tests.support.tiny_rendered import lamp

pytestmark = pytest.mark.render

SIZE_WH = (120, 96)
# Large in the frame, so that there are pixels enough to compare. On thirds objects are smaller.
CENTRED = {"composition": {"centred": 1}}


def sphere(rings: int = 64, sides: int = 128, scale: float = 1.0) -> str:
    """A Wavefront OBJ of a sphere of radius `scale` with exact vertex normals."""
    lines, normals = [], []
    for ring in range(rings + 1):
        for side in range(sides):
            theta, phi = math.pi * ring / rings, math.tau * side / sides
            point = (math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi), math.cos(theta))
            lines.append("v {:.7f} {:.7f} {:.7f}".format(*(scale * part for part in point)))
            normals.append("vn {:.7f} {:.7f} {:.7f}".format(*point))
    lines += [*normals, "s 1"]
    for ring in range(rings):
        for side in range(sides):
            here, beside = ring * sides + side + 1, ring * sides + (side + 1) % sides + 1
            corners = (here, here + sides, beside + sides, beside)
            lines.append("f " + " ".join(f"{corner}//{corner}" for corner in corners))
    return "\n".join(lines) + "\n"


# A square that stands upright: the importer turns the file's +Y up to +Z, so that this faces +Y and -Y there.
PLANE = "v -1 -1 0\nv 1 -1 0\nv 1 1 0\nv -1 1 0\nf 1 2 3 4\n"


def plan_of(root: Path, shape: str, families: list[str] | None = None, **recipe: object) -> DatasetPlan:
    """Scenes of the `shape` of a file, or of embedded `families` instead."""
    for folder in ("objects", "hdris"):
        (root / folder).mkdir(exist_ok=True)
    (root / "objects" / "shape.obj").write_text(shape)
    (root / "objects" / "catalogue.yaml").write_text("shape: {split: train, licence: CC0-1.0}\n")
    write_exr(root / "hdris" / "room.exr", lamp(0.0))
    (root / "hdris" / "catalogue.yaml").write_text("room: {split: train, licence: CC0-1.0}\n")
    config = DatasetConfig.model_validate(
        {
            "name": "g",
            "seed": 5,
            "assets": {
                "embedded": families is not None,
                "families": families,
                "objects": [] if families else [root / "objects"],
                "hdris": [root / "hdris"],
            },
            "render": {"samples": 8, "lighting_copy_width": 32},
            "recipes": {
                "geometry": {
                    "kind": "geometry",
                    "groups": {"train": 1},
                    "pairs_per_group": 3,
                    "size_WH": SIZE_WH,
                    "room_share": 0.0,
                    **recipe,
                }
            },
        }
    )
    return make_plan(config, build_catalogue(config.assets, None))


def made(plan: DatasetPlan, root: Path) -> list[dict]:
    with Workbench(
        plan.config.workbench,
        plan.catalogue,
        scratch_dir=root / "scratch",
        threads=2,
        log_path=root / "log",
    ) as workbench:
        pairs = plan.recipes["geometry"].make(plan.group(plan.streams[0], 0), workbench)
    assert not [pair for pair in pairs if isinstance(pair, Rejected)]
    return pairs


def rays(params: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Camera to world rotation, camera position, and each pixel's ray in camera space with z = -1."""
    width, height = SIZE_WH
    matrix = np.array(params["camera_to_world"])
    places = np.stack(
        [*np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), np.ones((height, width))], -1
    )
    # K has y down and z into the picture.
    grid = places @ np.linalg.inv(params["K"]).T * [1, -1, -1]
    return matrix[:3, :3], matrix[:3, 3], grid


def nearest_in_neighbourhood(depth: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Distance of each depth to the range of the truth over its 3x3 pixels: a sample lies anywhere there."""
    padded = np.pad(truth, 1, mode="edge")
    shifts = [
        padded[1 + i : 1 + i + truth.shape[0], 1 + j : 1 + j + truth.shape[1]]
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
    ]
    low, high = np.min(shifts, axis=0), np.max(shifts, axis=0)
    return np.maximum(np.maximum(low - depth, depth - high), 0)


def test_a_sphere_has_its_depth_and_normals_at_three_poses(tmp_path: Path) -> None:
    poses = set()
    for pair in made(plan_of(tmp_path, sphere()), tmp_path):
        params = json.loads(pair["meta.json"]["params"])
        rotation, position, ray = rays(params)
        poses.add(tuple(np.round(position, 3)))
        # |position + t ray| = 1 with the ray's z = -1 in the camera: t is the planar depth.
        world = ray @ rotation.T
        a, b, c = (world**2).sum(-1), (world @ position), position @ position - 1
        hit = b**2 - a * c > 0
        t = (-b - np.sqrt(np.where(hit, b**2 - a * c, 0))) / a
        point = position + t[..., None] * world
        valid = pair["mask.png"] == 255
        # The mask is the disc up to a pixel at the rim.
        assert (valid & hit).sum() / (valid | hit).sum() > 0.93
        assert (valid <= hit).mean() > 0.999
        steep = (point @ rotation)[..., 2] < 0.3
        inner = valid & hit & ~steep
        assert inner.sum() > 1000
        assert np.abs(pair["depth.npy"] - t)[inner].mean() < 0.01
        assert nearest_in_neighbourhood(pair["depth.npy"], t)[inner].max() < 2e-3
        normal = pair["normal.npy"].astype(np.float64)
        cosine = np.clip((normal * (point @ rotation)).sum(-1), -1, 1)[inner]
        assert np.degrees(np.arccos(cosine)).mean() < 0.5
        assert np.degrees(np.arccos(cosine)).max() < 3
        assert (normal[..., 2][inner] > 0).all()  # they face the camera
        assert (pair["depth.npy"][~valid] == 0).all()
        assert (pair["normal.npy"][~valid] == 0).all()
    assert len(poses) == 3


def test_a_plane_has_its_depth_and_normals_at_three_poses(tmp_path: Path) -> None:
    for pair in made(plan_of(tmp_path, PLANE, gates={"contrast": 0.0, "mask": [0.02, 1]}), tmp_path):
        params = json.loads(pair["meta.json"]["params"])
        rotation, position, ray = rays(params)
        yaw = params["objects"][0]["yaw_rad"]
        facing = np.array([-math.sin(yaw), math.cos(yaw), 0.0])
        if facing @ position < 0:
            facing = -facing
        world = ray @ rotation.T
        t = -(position @ facing) / (world @ facing)
        inside = pair["mask.png"] == 255
        assert inside.sum() > 400
        assert nearest_in_neighbourhood(pair["depth.npy"], t)[inside].max() < 2e-3
        expected = facing @ rotation
        normal = pair["normal.npy"][inside].astype(np.float64)
        sine = np.linalg.norm(np.cross(normal, expected), axis=1)
        assert np.degrees(np.arctan2(sine, normal @ expected)).max() < 0.1
        # Every pixel's point, from its depth and the stored view, lies in the plane and in the unit sphere.
        points = position + pair["depth.npy"][inside][:, None] * world[inside]
        assert np.abs(points @ facing).mean() < 0.02
        assert np.linalg.norm(points, axis=1).max() < 1.03


def normals_of_depth(pair: dict) -> tuple[np.ndarray, np.ndarray]:
    """Camera-space normals (H, W, 3) by central differences over two pixels of the points that depth and
    camera give, and where those lie on one smooth surface: (H, W).

    Depth is of one sample somewhere in its pixel, so differences over less are mostly that sample's place.
    """
    params, depth = json.loads(pair["meta.json"]["params"]), pair["depth.npy"].astype(np.float64)
    points = rays(params)[2] * depth[..., None]
    across, down = (np.roll(points, -2, axis) - np.roll(points, 2, axis) for axis in (1, 0))
    normal = np.cross(down, across)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    inner = cv2.erode(pair["mask.png"], np.ones((9, 9), np.uint8), borderValue=0) == 255
    # Not across an edge of the object, and not where the surface is seen edge-on.
    curved = cv2.morphologyEx(pair["depth.npy"], cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8))
    return normal, inner & (curved < 0.12) & (pair["normal.npy"][..., 2] > 0.4)


def degrees_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    sine = np.linalg.norm(np.cross(first, second), axis=-1)
    return np.degrees(np.arctan2(sine, (first * second).sum(axis=-1)))


@pytest.mark.parametrize("family", ["teddy_bear", "shoe"])
def test_normals_agree_with_the_depth_beside_them_whatever_bump_the_material_has(
    family: str, tmp_path: Path
) -> None:
    medians = {}
    for normals in ("geometric", "shading"):
        folder = tmp_path / normals
        folder.mkdir()
        plan = plan_of(folder, PLANE, normals=normals, pairs_per_group=2, families=[family], camera=CENTRED)
        differences = []
        for pair in made(plan, folder):
            assert json.loads(pair["meta.json"]["params"])["normals"] == normals
            from_depth, smooth = normals_of_depth(pair)
            differences.append(degrees_between(from_depth, pair["normal.npy"].astype(np.float64))[smooth])
        medians[normals] = np.median(np.concatenate(differences))
        assert sum(map(len, differences)) > 500
    assert medians["geometric"] < 2
    # Fur and knit are in the picture, so whoever wants them asks.
    assert medians["shading"] > 2 * medians["geometric"]


def test_a_coarse_ball_with_smooth_shading_has_the_normals_of_its_facets(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, sphere(rings=6, sides=8), pairs_per_group=2, camera=CENTRED)
    for pair in made(plan, tmp_path):
        from_depth, smooth = normals_of_depth(pair)
        difference = degrees_between(from_depth, pair["normal.npy"].astype(np.float64))[smooth]
        assert len(difference) > 500
        assert np.median(difference) < 0.5  # smoothly shaded it would be about ten degrees


def test_what_is_seen_through_a_hole_has_its_own_normals(tmp_path: Path) -> None:
    near = "v -0.5 -0.5 0.5\nv 0.5 -0.5 0.5\nv 0.5 0.5 0.5\nv -0.5 0.5 0.5\n"
    slanted = "v -1 -1 0.2\nv 1 -1 -0.6\nv 1 1 -0.6\nv -1 1 0.2\n"
    shape = f"mtllib shape.mtl\n{near}{slanted}usemtl gone\nf 1 2 3 4\nusemtl here\nf 5 6 7 8\n"
    gates = {"contrast": 0.0, "mask": [0.02, 1], "border": 1.0}
    materials = "newmtl gone\nKd 1 0 0\nd 0\nnewmtl here\nKd 0 0.5 1\nd 1\n"
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "shape.mtl").write_text(materials)
    plan = plan_of(tmp_path, shape, gates=gates, pairs_per_group=2)
    for pair in made(plan, tmp_path):
        from_depth, smooth = normals_of_depth(pair)
        difference = degrees_between(from_depth, pair["normal.npy"].astype(np.float64))[smooth]
        assert len(difference) > 300
        assert np.percentile(difference, 99) < 0.5


def test_depth_is_relative_and_says_so(tmp_path: Path) -> None:
    """Two files of one shape, a thousand times apart in size, have one depth."""
    depths = []
    for name, scale in (("small", 0.01), ("large", 10.0)):
        (tmp_path / name).mkdir()
        (pair,) = made(plan_of(tmp_path / name, sphere(scale=scale), pairs_per_group=1), tmp_path / name)
        assert json.loads(pair["meta.json"]["params"])["depth_unit"] == "relative"
        depths.append(pair["depth.npy"])
    np.testing.assert_allclose(*depths, atol=1e-4)
    assert FIELDS["depth.npy"].unit == "relative"
    assert "metre" not in FIELDS["depth.npy"].shows


def test_a_room_is_valid_up_to_the_far_limit_and_its_ground_is_level(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path,
        sphere(),
        room_share=1.0,
        objects=[2, 2],
        walls=[1, 1],
        far=20.0,
        elevation_deg=[5, 12],
        fov_deg=[55, 60],
    )
    for pair in made(plan, tmp_path):
        params = json.loads(pair["meta.json"]["params"])
        assert (len(params["objects"]), len(params["receivers"])) == (2, 2)
        rotation, position, ray = rays(params)
        valid = pair["mask.png"] == 255
        assert valid[-10:].all()  # the ground is not cut off below
        assert 0 < pair["depth.npy"][valid].min() < pair["depth.npy"][valid].max() <= 20
        up = pair["normal.npy"].astype(np.float64) @ rotation.T
        ground = valid & (up[..., 2] > 0.999)
        assert ground.sum() > 300
        heights = (position + pair["depth.npy"][..., None] * (ray @ rotation.T))[..., 2][ground]
        assert np.median(np.abs(heights)) < 0.02
