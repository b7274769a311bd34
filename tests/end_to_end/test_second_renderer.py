"""Mitsuba 3, another path tracer, renders the same scenes and agrees.

From what is stated (meta.json, or the specs of a scene) alone: cameras, environment maps with their turns and
mirrors, sizes, exposures, gains. Materials that carry over: Lambert's, and a metal of GGX microfacets.
Dielectrics under a clear coat do not: Cycles' Principled BSDF and Mitsuba's share their energy differently.
"""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import mitsuba
import numpy as np
import pytest

from pairbridge.datagen.assets.catalogue import AssetsConfig
from pairbridge.datagen.assets.exr_files import read_equirect, write_exr
from pairbridge.datagen.blender.client import BlenderClient, ProcessLimits
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.imaging.colour import srgb_decode
from pairbridge.datagen.lighting.environment_maps import environment_map, irradiance
from pairbridge.datagen.lighting.equirect import lighting_copy, load_environment
from pairbridge.datagen.scene.specs import CameraPose, CameraSpec, ObjectSpec
from pairbridge.datagen.shards.reader import open_shards
from pairbridge.datagen.shards.sample import params_of
from pairbridge.datagen.sourcing.sources import build_catalogue
from pairbridge.pipelines.generation.generate import generate

pytestmark = [pytest.mark.render, pytest.mark.long]

SIDE = 36
# Each renderer's mean and its error come from as many renders of as many samples.
SEEDS, SAMPLES = 32, 32
KD = (0.7, 0.5, 0.3)
MAPS = ("city", "courtyard", "forest", "interior", "night", "studio", "sunrise", "sunset")
# Rows of a matrix: Mitsuba's environment maps have +Y up and u from +Z; ours have +Z up and u from +X.
_MAP_AXES = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]], float)


def write_surface(path: Path, radius: Callable[[np.ndarray, np.ndarray], np.ndarray], material: str) -> Path:
    """A closed surface r(theta, phi) about the origin as OBJ, smooth, +Y up, with one material."""
    rings, sides = 96, 192
    theta, phi = np.meshgrid(
        np.linspace(0, math.pi, rings + 1), np.linspace(0, math.tau, sides, endpoint=False), indexing="ij"
    )

    def points(theta: np.ndarray, phi: np.ndarray) -> np.ndarray:
        ray = np.stack([np.sin(theta) * np.cos(phi), np.cos(theta), np.sin(theta) * np.sin(phi)], -1)
        return radius(theta, phi)[..., None] * ray

    step = 1e-4
    inner = np.clip(theta, 1e-3, math.pi - 1e-3)
    along = points(inner + step, phi) - points(inner - step, phi)
    around = points(inner, phi + step) - points(inner, phi - step)
    normals = np.cross(around, along)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    normals *= np.sign((normals * points(inner, phi)).sum(-1, keepdims=True))
    path.with_suffix(".mtl").write_text(f"newmtl skin\n{material}\n")
    lines = [f"mtllib {path.stem}.mtl", "usemtl skin"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in points(theta, phi).reshape(-1, 3)]
    lines += [f"vn {x:.6f} {y:.6f} {z:.6f}" for x, y, z in normals.reshape(-1, 3)]
    for ring in range(rings):
        for side in range(sides):
            corners = [
                (ring + down) * sides + (side + right) % sides + 1
                for down, right in ((0, 0), (0, 1), (1, 1), (1, 0))
            ]
            lines.append("f " + " ".join(f"{corner}//{corner}" for corner in corners))
    path.write_text("\n".join(lines) + "\n")
    return path


def ball(theta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    return np.ones_like(theta)


def bumpy(theta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """With valleys that see each other: light bounces in them."""
    return 1 + 0.35 * np.sin(3 * phi) * np.sin(theta) ** 2 + 0.2 * np.cos(4 * theta)


def vertices_of(path: Path) -> np.ndarray:
    """(N, 3) of an OBJ in the world: +Y up becomes +Z up."""
    x, y, z = np.array(
        [line.split()[1:4] for line in path.read_text().splitlines() if line.startswith("v ")], float
    ).T
    return np.stack([x, -z, y], 1)


def placed(path: Path, placement: dict[str, Any]) -> np.ndarray:
    """What takes an OBJ's own coordinates to where `meta.json` says that it floats: (4, 4)."""
    vertices = vertices_of(path)
    centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    scale = placement["radius"] / np.linalg.norm(vertices - centre, axis=1).max()
    cos, sin = math.cos(placement["yaw_rad"]), math.sin(placement["yaw_rad"])
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    upright = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    matrix = np.eye(4)
    matrix[:3, :3] = scale * turn @ upright
    matrix[:3, 3] = [placement[axis] for axis in "xyz"] - scale * turn @ centre
    return matrix


def peer_scene(
    path: Path,
    bsdf: dict[str, Any],
    to_world: np.ndarray,
    camera_to_world: np.ndarray,
    fov_x_rad: float,
    environment: np.ndarray,
    rotation_rad: float = 0.0,
) -> Any:
    """Mitsuba's scene of one object under one environment map (H, W, 3)."""
    cos, sin = math.cos(-rotation_rad), math.sin(-rotation_rad)
    turned = np.array([[cos, -sin, 0, 0], [sin, cos, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]) @ _MAP_AXES
    # Its cameras look along +Z with x to the left.
    look = np.array(camera_to_world) @ np.diag([-1.0, 1, -1, 1])
    transform = mitsuba.ScalarTransform4f
    return mitsuba.load_dict(
        {
            "type": "scene",
            # One more than the bounces of light: the first hit of the camera's ray; and the way to the light.
            "integrator": {"type": "path", "max_depth": RenderSettings().diffuse_bounces + 2, "rr_depth": 99},
            "sensor": {
                "type": "perspective",
                "fov": math.degrees(fov_x_rad),
                "fov_axis": "x",
                "to_world": transform(look),
                "film": {
                    "type": "hdrfilm",
                    "width": SIDE,
                    "height": SIDE,
                    "rfilter": {"type": "gaussian"},
                    "pixel_format": "rgba",
                },
                "sampler": {"type": "independent", "sample_count": SAMPLES},
            },
            "light": {
                "type": "envmap",
                "bitmap": mitsuba.Bitmap(np.ascontiguousarray(environment, np.float32)),
                "to_world": transform(turned),
            },
            "object": {
                "type": "obj",
                "filename": str(path),
                "to_world": transform(to_world),
                "bsdf": {"type": "twosided", "inner": bsdf},
            },
        }
    )


def peer_renders(scene: Any) -> np.ndarray:
    """(SEEDS, H, W, 3)."""
    return np.stack([np.array(mitsuba.render(scene, seed=seed))[..., :3] for seed in range(SEEDS)])


@pytest.fixture(scope="module", autouse=True)
def _variant() -> None:
    mitsuba.set_variant("scalar_rgb")


@pytest.fixture(scope="module")
def maps() -> dict[str, Path]:
    catalogue = build_catalogue(AssetsConfig(), None)
    return {name: catalogue.get(name).path for name in MAPS}


@pytest.fixture(scope="module")
def blender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlenderClient]:
    folder = tmp_path_factory.mktemp("blender")
    client = BlenderClient(
        RenderSettings(samples=SAMPLES),
        scratch_dir=folder,
        log_path=folder / "blender.log",
        threads=2,
        limits=ProcessLimits(),
    )
    yield client
    client.close()


CAMERA = CameraSpec(azimuth_rad=0.6, elevation_rad=0.5, fov_x_rad=math.radians(28), fill=0.9)
FLOATING = {"x": 0.0, "y": 0.0, "z": 0.0, "radius": 1.0, "yaw_rad": 0.0}


def our_renders(
    blender: BlenderClient, path: Path, environment: np.ndarray, folder: Path
) -> tuple[np.ndarray, np.ndarray, CameraPose, np.ndarray]:
    """(SEEDS, H, W, 3) before denoising, the mask of pixels well inside, the camera, normals (H, W, 3)."""
    blender.load_object(ObjectSpec(path=path))
    pose = blender.set_camera(CAMERA, (SIDE, SIDE))
    write_exr(folder / "light.exr", environment)
    passes = [blender.render(environment_path=folder / "light.exr", seed=seed) for seed in range(SEEDS)]
    whole = (passes[0].rgba[..., 3] > 0.999).astype(np.uint8)
    inside = cv2.erode(whole, np.ones((5, 5), np.uint8)) > 0
    return np.stack([one.noisy for one in passes]), inside, pose, passes[0].shading_normal


def agree(ours: np.ndarray, peer: np.ndarray, inside: np.ndarray) -> None:
    """Means within 1 %, and 99 % of the pixels within three standard errors of the difference."""
    means = [renders.mean(axis=0)[inside] for renders in (ours, peer)]
    errors = [renders.std(axis=0, ddof=1)[inside] / math.sqrt(SEEDS) for renders in (ours, peer)]
    assert means[0].mean(axis=0) == pytest.approx(means[1].mean(axis=0), rel=0.01)
    # Of what is flat there is no error to speak of: a thousandth of the light is allowed.
    allowed = 3 * np.hypot(*errors) + 1e-3 * means[1].mean()
    assert (np.abs(means[0] - means[1]) <= allowed).mean() >= 0.99


def test_a_white_furnace_is_white_in_both(blender: BlenderClient, tmp_path: Path) -> None:
    path = write_surface(tmp_path / "ball.obj", ball, "Kd 0.8 0.8 0.8\nKs 0 0 0")
    uniform = np.full((128, 256, 3), 0.6, np.float32)
    ours, inside, pose, _ = our_renders(blender, path, uniform, tmp_path)
    bsdf = {"type": "diffuse", "reflectance": {"type": "rgb", "value": [0.8] * 3}}
    scene = peer_scene(path, bsdf, placed(path, FLOATING), pose.camera_to_world, pose.fov_x_rad, uniform)
    peer = peer_renders(scene)
    assert ours.mean(axis=0)[inside].mean() == pytest.approx(0.48, rel=0.002)
    agree(ours, peer, inside)


@pytest.mark.parametrize("name", MAPS)
def test_lamberts_ball_has_the_irradiance_of_the_map_in_both(
    blender: BlenderClient, maps: dict[str, Path], name: str, tmp_path: Path
) -> None:
    path = write_surface(tmp_path / "ball.obj", ball, "Kd 0.8 0.8 0.8\nKs 0 0 0")
    environment = lighting_copy(load_environment(maps[name]), 256)
    ours, inside, pose, normals = our_renders(blender, path, environment, tmp_path)
    bsdf = {"type": "diffuse", "reflectance": {"type": "rgb", "value": [0.8] * 3}}
    peer = peer_renders(
        peer_scene(path, bsdf, placed(path, FLOATING), pose.camera_to_world, pose.fov_x_rad, environment)
    )
    camera_to_world = np.array(pose.camera_to_world)
    in_camera = normals[inside] @ camera_to_world[:3, :3]
    closed = 0.8 * irradiance(environment_map(environment, camera_to_world), in_camera) / math.pi
    for renders in (ours, peer):
        assert renders.mean(axis=0)[inside].mean(axis=0) == pytest.approx(closed.mean(axis=0), rel=0.01)
    agree(ours, peer, inside)


@pytest.mark.parametrize("name", ["courtyard", "forest"])
def test_light_that_bounces_between_valleys_agrees(
    blender: BlenderClient, maps: dict[str, Path], name: str, tmp_path: Path
) -> None:
    path = write_surface(tmp_path / "bumpy.obj", bumpy, f"Kd {KD[0]} {KD[1]} {KD[2]}\nKs 0 0 0")
    environment = lighting_copy(load_environment(maps[name]), 256)
    ours, inside, pose, _ = our_renders(blender, path, environment, tmp_path)
    bsdf = {"type": "diffuse", "reflectance": {"type": "rgb", "value": list(KD)}}
    peer = peer_renders(
        peer_scene(path, bsdf, placed(path, FLOATING), pose.camera_to_world, pose.fov_x_rad, environment)
    )
    agree(ours, peer, inside)


def test_pairs_are_what_their_meta_json_says(maps: dict[str, Path], tmp_path: Path) -> None:
    """Turned and mirrored maps, exposures, strength and tint: sources and targets from meta.json alone."""
    objects = tmp_path / "objects"
    objects.mkdir()
    write_surface(objects / "bumpy.obj", bumpy, f"Kd {KD[0]} {KD[1]} {KD[2]}\nKs 0 0 0")
    config = DatasetConfig.model_validate(
        {
            "name": "peer",
            "seed": 5,
            "assets": {"families": [], "objects": [objects]},
            "render": {"samples": 512},
            "view": {"shoulder": 0.97},
            "recipes": {
                "relighting": {
                    "kind": "relighting_swap",
                    "groups": {"train": 3},
                    "pairs_per_group": 2,
                    "lightings_per_group": 2,
                    "size_WH": [SIDE, SIDE],
                    "flip": 0.5,
                    "strength": [0.7, 1.4],
                    "tint": 0.2,
                    "standing": 0.0,
                    "scale": "equal",
                    "camera": {"composition": {"centred": 1}, "defocus": None},
                    "fill": [0.85, 0.95],
                    "finish": None,
                }
            },
        }
    )
    generate(config, tmp_path / "data", workers=2)
    flipped, compared = set(), 0
    for shard in open_shards(tmp_path / "data", "relighting", "train"):
        for place in range(len(shard)):
            sample = shard.read(place)
            params = params_of(json.loads(sample["meta.json"]))
            mask = cv2.imdecode(np.frombuffer(sample["mask.png"], np.uint8), cv2.IMREAD_GRAYSCALE)
            inside = cv2.erode((mask == 255).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
            gain = params["strength"] * np.array(params["tint"])
            for field, lighting, factor in (
                ("source.png", params["lighting_a"], gain),
                ("target.png", params["lighting_b"], np.ones(3)),
            ):
                environment = read_equirect(maps[lighting["id"]])
                if lighting["flipped"]:
                    environment = environment[:, ::-1]
                flipped.add(lighting["flipped"])
                scene = peer_scene(
                    objects / "bumpy.obj",
                    {"type": "diffuse", "reflectance": {"type": "rgb", "value": list(KD)}},
                    placed(objects / "bumpy.obj", params["objects"][0]),
                    params["camera_to_world"],
                    2 * math.atan(SIDE / 2 / params["K"][0][0]),
                    environment,
                    lighting["rotation_rad"],
                )
                expected = peer_renders(scene).mean(axis=0) * lighting["factor"] * factor
                picture = cv2.imdecode(np.frombuffer(sample[field], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
                ours = srgb_decode(picture.astype(np.float64) / 255)
                # What is clipped to white says nothing.
                there = inside & (expected.max(axis=2) < 0.9) & (expected.min(axis=2) > 0.01)
                assert there.sum() > 40
                assert ours[there].mean(axis=0) == pytest.approx(expected[there].mean(axis=0), rel=0.015)
                assert np.abs(ours - expected)[there].mean() < 0.03 * expected[there].mean()
                compared += 1
    assert compared == 12
    assert flipped == {True, False}
