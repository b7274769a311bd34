"""Rendering without a dataset: views of a chosen object, their geometry, and the pairs that they make."""

import math
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.blender.blender_errors import BlenderUnavailable
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.recipes.rendering import Camera, Renderer, relighting_pairs, render
from tests.support.rendered_recipes import make, plan_of
from tests.support.tiny_rendered import write_assets

SIZE = (48, 40)
CAMERA = Camera(azimuth_deg=20, elevation_deg=10, fov_deg=35, offset=(0.05, 0))


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("assets")
    write_assets(root, num_objects=1, num_lightings=2)
    return root


@pytest.mark.render
def test_views_share_their_geometry_and_differ_in_light(assets: Path) -> None:
    shape, lamp = assets / "objects" / "shape-0.obj", assets / "hdris" / "lamp-0.exr"
    first, second, again = render(shape, [lamp, (lamp, 90), lamp], camera=CAMERA, size=SIZE, samples=4)
    for name in ("alpha", "depth", "normal", "K", "camera_to_world"):
        assert np.array_equal(getattr(first, name), getattr(second, name)), name
    assert first.image.shape == (40, 48, 3)
    assert first.image.dtype == np.uint8
    assert np.array_equal(first.image, again.image)
    inside, outside = first.mask == 255, first.mask == 0
    assert inside.sum() > 100
    assert np.abs(first.image[inside].astype(int) - second.image[inside]).mean() > 2
    # The background of a lighting is its own, without the object.
    assert np.array_equal(first.image[outside], first.transform.apply(first.background)[outside])


@pytest.mark.render
def test_points_of_the_depth_lie_on_the_unit_sphere_s_inside_and_normals_face_the_camera(
    assets: Path,
) -> None:
    """Depth, K and pose together: each pixel's point is within the object's bounding sphere."""
    (view,) = render(
        assets / "objects" / "shape-0.obj",
        [assets / "hdris" / "lamp-0.exr"],
        camera=CAMERA,
        size=SIZE,
        samples=4,
    )
    rows, columns = np.nonzero(view.alpha > 0.99)
    depth = view.depth[rows, columns]
    pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))])
    x, y, z = np.linalg.inv(view.K) @ pixels * depth
    world = view.camera_to_world @ np.stack([x, -y, -z, np.ones_like(x)])
    distance = np.linalg.norm(world[:3], axis=0)
    # Depth is of one place in the pixel, not of its centre.
    assert distance.max() < 1.1
    assert distance.max() > 0.8
    normals = view.normal[rows, columns]
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-3)
    assert (np.einsum("nc,cn->n", normals, np.stack([x, -y, -z])) < 0.05).mean() > 0.95


@pytest.mark.render
def test_pairs_are_those_of_the_recipe(tmp_path: Path) -> None:
    recipe = {
        "kind": "relighting_swap",
        "standing": 0.0,
        "groups": {"train": 1},
        "size_WH": list(SIZE),
        "lightings_per_group": 2,
        "pairs_per_group": 2,
        "strength": [1.0, 1.0],
        "tint": 0.0,
        # As a Renderer has them: objects as they are, before a pinhole that is level, without a finish.
        "lying": None,
        "camera": {"composition": {"centred": 1}, "roll_deg": 0, "defocus": None},
        "finish": None,
    }
    plan = plan_of(recipe, families=["vase"])
    params = plan.group(plan.streams[0], 0).params
    made = {pair["a"]: done for pair, done in zip(params["pairs"], make(plan, 0, tmp_path), strict=True)}
    camera = params["camera"]
    with Renderer(samples=4) as renderer:
        views = renderer.render(
            params["objects"][0]["id"],
            [(one["id"], math.degrees(one["rotation_rad"])) for one in params["lightings"]],
            camera=Camera(
                azimuth_deg=math.degrees(camera["azimuth_rad"]),
                elevation_deg=math.degrees(camera["elevation_rad"]),
                fov_deg=math.degrees(camera["fov_x_rad"]),
                fill=camera["fill"],
                offset=tuple(camera["offset"]),
            ),
            size=SIZE,
            seed=params["cycles_seed"],
        )
    for number, pair in enumerate(relighting_pairs(views)):
        # The target of the first is under lighting 0, so its source's foreground is lit by 1.
        of_recipe = made[1 - number]
        for name in ("source", "target", "mask"):
            # Degrees and back: the last bit of an angle may differ, and with it a level of a pixel.
            difference = np.abs(getattr(pair, name).astype(int) - of_recipe[f"{name}.png"])
            assert difference.max() <= 1, name
            assert (difference > 0).mean() < 0.01, name


def test_without_the_render_extra_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bpy.py").write_text("raise ModuleNotFoundError(\"No module named 'bpy'\", name='bpy')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Renderer() as renderer, pytest.raises(BlenderUnavailable, match="No module named 'bpy'") as caught:
        renderer.render("chair:7", [_white(tmp_path)])
    assert "[render]' (Python 3.11 or 3.13)" in caught.value.remedy


def _white(folder: Path) -> Path:
    write_exr(folder / "white.exr", np.ones((8, 16, 3), np.float32))
    return folder / "white.exr"


@pytest.mark.parametrize(
    ("object_", "lighting", "says"),
    [
        ("chair", "white.exr", "a family with a seed such as chair:7"),
        ("no.glb", "white.exr", "there is no object 'no.glb'"),
        ("chair:7", "no.hdr", "there is no lighting"),
    ],
)
def test_a_name_that_is_nothing_is_refused_before_blender_starts(
    object_: str, lighting: str, says: str, tmp_path: Path
) -> None:
    _white(tmp_path)
    with Renderer() as renderer, pytest.raises(ConfigError, match=says):
        renderer.render(object_, [tmp_path / lighting])
