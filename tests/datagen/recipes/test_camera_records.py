"""Every rendered recipe states the camera of a sample, so that a pixel can be placed in the world."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.core.errors import Rejected
from tests.support.rendered_recipes import make, plan_of

WIDTH, HEIGHT = 56, 40
KINDS = {
    "relighting_swap": {},
    "object_removal": {"smallest_visible": 0.0, "most_hidden": 1.0},
    "shadow_generation": {"smallest_shadow": 0.0},
    "controllable_relighting": {"smallest_difference": 0.0},
    "geometry": {},
    "restoration": {"targets_from": {"render": 1.0}},
}
# In the first removal group, what its pair removes stands wholly behind another object.
GROUPS = {"object_removal": 1}
LOOSE = {"black": 1.0, "blown": 1.0, "level": [0, 255], "contrast": 0, "coverage": [0, 1], "border": 1}


@pytest.mark.render
@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_states_its_intrinsics_and_its_pose(kind: str, tmp_path: Path) -> None:
    recipe = {"kind": kind, "groups": {"train": 2}, "pairs_per_group": 1, "size_WH": [WIDTH, HEIGHT]}
    made = make(plan_of(recipe | {"gates": LOOSE} | KINDS[kind], samples=1), GROUPS.get(kind, 0), tmp_path)
    (pair,) = made
    assert not isinstance(pair, Rejected), pair
    params = json.loads(pair["meta.json"]["params"])
    params = params.get("scene", params)  # a restoration's target is a view of a scene
    focal = WIDTH / 2 / math.tan(params["camera"]["fov_x_rad"] / 2)
    np.testing.assert_allclose(params["K"], [[focal, 0, WIDTH / 2], [0, focal, HEIGHT / 2], [0, 0, 1]])
    matrix = np.array(params["camera_to_world"])
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-6)
    assert matrix.shape == (4, 4)
    # The camera looks along its -z, and what it looks at is in the frame.
    for entry in params["objects"]:
        assert "id" in entry
        assert "object" not in entry
        height = entry.get("radius", 1.0) if entry.get("standing") else 0.0
        middle = [entry.get("x", 0.0), entry.get("y", 0.0), height, 1.0]
        x, y, z = (np.linalg.inv(matrix) @ middle)[:3]
        column, row, depth = params["K"] @ np.array([x, -y, -z])
        assert depth > 0
        assert -0.1 * WIDTH < column / depth < 1.1 * WIDTH
        assert -0.1 * HEIGHT < row / depth < 1.1 * HEIGHT
