"""Coloured lamps rendered for real: light maps agree with the light, and light adds up."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pairbridge.datagen.blender.child.camera_framing import frame
from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.imaging.quality import Gates, check_pair
from pairbridge.datagen.lighting.light_maps import MapLight, encode_light_map
from pairbridge.datagen.recipes.controllable_relighting import ControllableRelightingConfig
from pairbridge.datagen.scene.specs import CameraSpec, from_json
from pairbridge.datagen.shards.sample import Pair, encode_field
from tests.support.ball_file import write_ball
from tests.support.light_places import direction_of
from tests.support.rendered_recipes import make, make_groups, plan_of

SIZE = 80
RECIPE = {
    "kind": "controllable_relighting",
    "groups": {"train": 20},
    "size_WH": [SIZE, SIZE],
    "pairs_per_group": 2,
    "saturation": [0.0, 0.0],
    "intensity": [0.9, 0.9],
    "ambient": [0.0, 0.0],
    "lamp_diameter": [0.3, 0.3],
    "elevation_deg": [-10, 40],
}


@pytest.fixture(scope="module")
def ball_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of objects with one white ball, pinned to train."""
    folder = tmp_path_factory.mktemp("ball")
    write_ball(folder / "ball.obj", "Kd 0.8 0.8 0.8\nKs 0 0 0")
    (folder / "catalogue.yaml").write_text("ball: {split: train, licence: CC0-1.0}\n")
    return folder


def normal_at(pixel: tuple[float, float], params: dict) -> np.ndarray:
    """The ball's normal, in camera coordinates, where a pixel's ray meets it."""
    draw = np.random.default_rng(0).normal(size=(20_000, 3))
    vertices = draw / np.linalg.norm(draw, axis=1, keepdims=True)
    pose, _, _ = frame(vertices, from_json(CameraSpec, params["camera"]), (SIZE, SIZE))
    matrix = np.array(pose.camera_to_world)
    centre = np.linalg.inv(matrix) @ [0.0, 0.0, 0.0, 1.0]
    half = math.tan(pose.fov_x_rad / 2)
    ray = np.array([((pixel[0] + 0.5) / SIZE * 2 - 1) * half, (1 - (pixel[1] + 0.5) / SIZE * 2) * half, -1.0])
    ray /= np.linalg.norm(ray)
    along = ray @ centre[:3]
    closest = centre[:3] @ centre[:3] - along**2
    hit = (along - math.sqrt(max(1 - closest, 0.0))) * ray
    return hit - centre[:3]


def brightest(image: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """(column, row) of the middle of the brightest part of a foreground; noise moves single pixels."""
    level = cv2.GaussianBlur(image.mean(axis=2).astype(np.float32), (0, 0), 1.5)
    level[cv2.erode(mask, np.ones((5, 5), np.uint8)) < 255] = 0
    rows, columns = np.nonzero(level > level.max() - 1.5)
    return float(columns.mean()), float(rows.mean())


@pytest.mark.render
def test_the_brightest_point_of_a_white_ball_moves_with_the_peak_of_the_light_map(
    ball_folder: Path, tmp_path: Path
) -> None:
    plan = plan_of(
        RECIPE
        | {
            "lamps": [1, 1],
            "pairs_per_group": 1,
            # Seen from above, most lamps are on the camera's side.
            "elevation_deg": [30, 60],
            "lamp_elevation_deg": [20, 90],
        },
        samples=8,
        embedded=True,
        families=[],
        objects=[str(ball_folder)],
    )
    angles = []
    for (pair,) in make_groups(plan, range(10), tmp_path):
        if isinstance(pair, Rejected):
            # Lit from behind: the side that is seen is black.
            continue
        params = json.loads(pair["meta.json"]["params"])
        peak_row, peak_column = np.unravel_index(pair["light.png"][..., 0].argmax(), (SIZE, SIZE))
        towards = np.array(direction_of((peak_column + 0.5) / SIZE * 2 - 1, 1 - (peak_row + 0.5) / SIZE * 2))
        # From near, less than half of the ball is seen: what faces a lamp at its side is beyond the limb.
        if towards[2] < 0.6:
            continue
        normal = normal_at(brightest(pair["target.png"], pair["mask.png"]), params)
        angles.append(math.degrees(math.acos(np.clip(normal @ towards, -1, 1))))
    assert len(angles) >= 5
    assert np.mean(angles) < 4, angles
    assert max(angles) < 8, angles


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    plan = plan_of(RECIPE | {"lamps": [3, 3], "saturation": [0.8, 0.8]}, families=["vase"])
    made = make(plan, 0, tmp_path_factory.mktemp("lamps"))
    assert not [pair.cause for pair in made if isinstance(pair, Rejected)]
    return made


@pytest.mark.render
def test_mixes_share_source_and_places_and_differ_in_colour(pairs: list[Pair]) -> None:
    first, second = pairs
    for field in ("source.png", "mask.png"):
        assert (first[field] == second[field]).all()
    assert np.abs(first["target.png"].astype(int) - second["target.png"]).mean() > 1
    lights = [json.loads(pair["meta.json"]["params"])["lights"] for pair in pairs]
    assert [light["direction"] for light in lights[0]] == [light["direction"] for light in lights[1]]
    assert lights[0][0]["amplitude"] != lights[1][0]["amplitude"]
    for pair, stated in zip(pairs, lights, strict=True):
        rebuilt = encode_light_map(
            [MapLight.from_params(light) for light in stated], (SIZE, SIZE), grey=False
        )
        assert (pair["light.png"] == rebuilt).all()
        outside = pair["mask.png"] == 0
        # White is white, as it is round cut-outs.
        assert (pair["source.png"][outside] == 255).all()
        assert (pair["target.png"][outside] == 255).all()


@pytest.mark.render
def test_a_group_repeats_to_the_byte(pairs: list[Pair], tmp_path: Path) -> None:
    plan = plan_of(RECIPE | {"lamps": [3, 3], "saturation": [0.8, 0.8]}, families=["vase"])
    for pair, other in zip(pairs, make(plan, 0, tmp_path, threads=2), strict=True):
        for field in pair:
            assert encode_field(field, pair[field]) == encode_field(field, other[field]), field


def test_white_paper_is_not_blown() -> None:
    white = np.full((40, 40, 3), 255, np.uint8)
    grey = white.copy()
    grey[18:22, 18:22] = 120
    mask = np.zeros((40, 40), np.uint8)
    mask[18:22, 18:22] = 255
    target = grey.copy()
    target[18:22, 18:22] = 60
    pair = {"source.png": grey, "target.png": target, "mask.png": mask}
    check_pair(pair, ControllableRelightingConfig().gates)
    with pytest.raises(Rejected, match="blown"):
        check_pair(pair, Gates())


@pytest.mark.render
def test_a_mix_whose_lamps_are_behind_is_bland(tmp_path: Path) -> None:
    """A lamp near the zenith, and a camera that looks at the object from below."""
    keys = {
        "lamps": [1, 1],
        "elevation_deg": [-75, -60],
        "lamp_elevation_deg": [75, 90],
        "ambient": [0.1, 0.1],
        "gates": {"black": 1.0, "level": [0, 255], "contrast": 0},
    }
    refused = [pair.gate for pair in make(plan_of(RECIPE | keys, families=["vase"]), 0, tmp_path)]
    assert refused == ["bland", "bland"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"lamp_elevation_deg": (-10, 40)},
        {"saturation": (0.2, 1.4)},
        {"lamp_distance": 1.0},
        {"lamps": (3, 1)},
    ],
)
def test_impossible_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError, match=r"lamp|saturation"):
        ControllableRelightingConfig(**wrong)
