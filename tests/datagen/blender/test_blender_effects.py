"""An object's effect against the closed form: a sphere on a plane, its silhouette and its shadow."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.blender.client import BlenderClient
from pairbridge.datagen.imaging.compositing import over_linear
from pairbridge.datagen.imaging.effect_masks import as_seen, effect_mask, effect_regions, seen_difference
from pairbridge.datagen.imaging.view import ViewTransform
from pairbridge.datagen.scene.specs import (
    CameraPose,
    CameraSpec,
    LampSpec,
    ObjectSpec,
    PlacedObject,
    ReceiverSpec,
    SceneSpec,
    SurfaceSpec,
)
from tests.support.ball_file import write_ball

pytestmark = pytest.mark.render

RADIUS = 0.7
LAMP = np.array([3.0, -2.0, 5.0])
THRESHOLD = 0.02
SIZE_WH = (112, 96)


def analytic_effect(pose: CameraPose) -> np.ndarray:
    """Bool (H, W): the ray of a pixel meets the sphere, or ends on ground from which it hides the lamp."""
    width, height = SIZE_WH
    focal = width / 2 / math.tan(pose.fov_x_rad / 2)
    x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, height / 2 - np.arange(height) - 0.5)
    matrix = np.array(pose.camera_to_world)
    rays = np.stack([x / focal, y / focal, -np.ones_like(x)], axis=-1) @ matrix[:3, :3].T
    eye, centre = matrix[:3, 3], np.array([0.0, 0.0, RADIUS])
    seen = distance_to(centre, eye, rays) < RADIUS
    ground = eye + rays * (-eye[2] / rays[..., 2])[..., None]
    shadowed = distance_to(centre, ground, LAMP - ground) < RADIUS
    return seen | (shadowed & (rays[..., 2] < 0))


def distance_to(point: np.ndarray, start: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Of `point` from each line."""
    unit = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    return np.linalg.norm(np.cross(point - start, unit), axis=-1)


def test_the_effect_of_a_sphere_is_its_silhouette_and_its_shadow(
    blender: BlenderClient, tmp_path: Path
) -> None:
    # A black ball bounces no light, so nothing else of the ground changes.
    ball = write_ball(tmp_path / "ball.obj", material="Kd 0 0 0\nKs 0 0 0")
    white = SurfaceSpec(kind="plain", colour=(0.6,) * 3, accent=(0.6,) * 3, roughness=1.0)
    blender.load_scene(
        SceneSpec(
            objects=(PlacedObject(object=ObjectSpec(path=ball), radius=RADIUS, standing=True),),
            receivers=(ReceiverSpec(surface=white),),
        )
    )
    pose = blender.set_camera(
        CameraSpec(azimuth_rad=-1.2, elevation_rad=0.6, fov_x_rad=0.7, fill=0.4), SIZE_WH
    )
    write_exr(tmp_path / "light.exr", np.ones((8, 16, 3), np.float32))
    lamp = LampSpec(position=tuple(LAMP), diameter=0.05, colour=(1.0, 1.0, 1.0))
    shots = [
        blender.render(
            environment_path=tmp_path / "light.exr",
            seed=1,
            strength=0.1,
            lamps=(lamp,),
            hidden=hidden,
        )
        for hidden in ((), (0,))
    ]
    view = ViewTransform()
    effect = effect_mask(shots[0].noisy, shots[1].noisy, view=view, threshold=THRESHOLD)
    effect |= shots[0].coverage[0] > 0
    difference = np.abs(as_seen(shots[0].noisy, view) - as_seen(shots[1].noisy, view)).max(axis=-1)
    assert difference[~effect].max() <= THRESHOLD
    # Paths that never meet the ball are the same to the bit; the denoiser would not leave that.
    assert (difference == 0).mean() > 0.25
    truth = analytic_effect(pose)
    assert (effect & truth).sum() / (effect | truth).sum() >= 0.9
    assert truth.mean() > 0.1
    # What is stored: of the denoised renders, whole.
    surroundings = np.full(3, 0.1, np.float32)
    pictures = [over_linear(shot.rgba, surroundings) for shot in shots]
    stored = effect_regions(seen_difference(*pictures, view), shots[0].coverage[0] > 0, THRESHOLD)
    assert (stored & truth).sum() / (stored | truth).sum() >= 0.9
    assert cv2.connectedComponents(stored.astype(np.uint8))[0] - 1 == 1
