"""Support and contact: stable poses in closed form, first contact exact, and groups that touch, stack and
lean."""

import itertools
import math

import numpy as np
import pytest

from pairbridge.datagen.scene.arrangements import free_first
from pairbridge.datagen.scene.first_contact import first_contact
from pairbridge.datagen.scene.settle import Settled, Surface, settle
from pairbridge.datagen.scene.specs import ObjectSpec, PlacedObject
from pairbridge.datagen.scene.support_poses import centre_of_mass, stable_poses, turn_between
from tests.datagen.scene.test_object_sizes import plans

UNIT_M = 0.1
RIGHT, DOWN = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, -1.0])
SQUARES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))


def box(x: float, y: float, z: float) -> Surface:
    corners = np.array(list(itertools.product((0.0, x), (0.0, y), (0.0, z))))
    return Surface(corners, np.array([face for a, b, c, d in SQUARES for face in ((a, b, c), (a, c, d))]))


def ball(rings: int = 24) -> Surface:
    heights, around = np.linspace(0, math.pi, rings + 1), np.linspace(0, math.tau, 2 * rings, endpoint=False)
    sine = np.sin(heights)[:, None]
    grid = np.stack([sine * np.cos(around), sine * np.sin(around), np.cos(heights)[:, None] + 0 * around], 2)
    rows, columns = grid.shape[:2]
    number = np.arange(rows * columns).reshape(rows, columns)
    a, b = number[:-1], number[1:]
    c, d = np.roll(b, -1, axis=1), np.roll(a, -1, axis=1)
    faces = np.concatenate([np.stack([a, b, c], 2), np.stack([a, c, d], 2)]).reshape(-1, 3)
    return Surface(grid.reshape(-1, 3), faces)


def rest(*objects: tuple[Surface, dict]) -> list[Settled]:
    mug = ObjectSpec(family="mug", seed=1)
    placed = [
        PlacedObject(object=mug, standing=True, size_m=0.1, **{"pose": "upright"} | keys)
        for _, keys in objects
    ]
    return settle(placed, [surface for surface, _ in objects], [1.0] * len(objects), UNIT_M)


def world(surface: Surface, place: Settled) -> np.ndarray:
    return place.world(surface.vertices)[surface.faces]


def test_a_cube_rests_on_each_face_alike_and_a_tetrahedron_too() -> None:
    cube = box(1, 1, 1)
    poses = stable_poses(cube.vertices, centre_of_mass(cube.vertices[cube.faces]))
    assert [pose.share for pose in poses] == pytest.approx([1 / 6] * 6)
    assert [pose.tip_rad for pose in poses] == pytest.approx([math.pi / 4] * 6, abs=1e-5)
    tetrahedron = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1.0]])
    assert [pose.share for pose in stable_poses(tetrahedron, np.zeros(3))] == pytest.approx([0.25] * 4)


def test_a_long_cylinder_lies_far_more_often_than_it_stands() -> None:
    around = np.linspace(0, math.tau, 32, endpoint=False)
    rim = np.stack([np.cos(around), np.sin(around)], 1)
    vertices = np.concatenate([np.column_stack([rim, np.full(32, z)]) for z in (-3.0, 3.0)])
    poses = stable_poses(vertices, np.zeros(3))
    assert len(poses) == 34
    standing = sum(pose.share for pose in poses if abs(pose.down[2]) > 0.5)
    # The solid angle of two discs of radius 1 seen from 3 away.
    assert standing == pytest.approx(1 - 3 / math.hypot(1, 3), rel=0.02)
    assert sum(pose.share for pose in poses) == pytest.approx(1)


def test_no_pose_is_stable_whose_centre_of_mass_is_beside_its_support() -> None:
    vertices = box(1, 1, 4).vertices
    assert len(stable_poses(vertices, np.array([0.5, 0.5, 2.0]))) == 6
    # A box that leans far over: its foot is not below its middle.
    vertices[vertices[:, 2] > 0, 0] += 3
    downs = [pose.down for pose in stable_poses(vertices, vertices.mean(axis=0))]
    assert not any(down[2] < -0.99 or down[2] > 0.99 for down in downs)
    flat = np.column_stack([np.random.default_rng(0).random((9, 2)), np.zeros(9)])
    assert stable_poses(flat, flat.mean(axis=0)) == []


def test_many_vertices_are_thinned_and_their_supports_stay_exact() -> None:
    draw = np.random.default_rng(1)
    cloud = draw.normal(size=(20_000, 3))
    cloud /= np.linalg.norm(cloud, axis=1)[:, None]
    cup = np.concatenate(
        [cloud[cloud[:, 2] > -0.8], box(0.4, 0.4, 0.1).vertices + np.array([-0.2, -0.2, -0.95])]
    )
    best = min(stable_poses(cup, np.array([0, 0, -0.1])), key=lambda pose: pose.angle_rad)
    assert best.angle_rad < 1e-4
    turned = cup @ best.turn.T
    assert (turned[:, 2] < turned[:, 2].min() + 1e-4).sum() >= 4


def test_first_contact_is_exact_for_vertices_faces_and_edges() -> None:
    cube = box(1, 1, 1)
    solid = cube.vertices[cube.faces]
    assert first_contact(solid - [5, 0.3, 0.2], solid, RIGHT)[0] == pytest.approx(4)
    assert first_contact(solid + np.array([0.2, 0.4, 7]), solid, DOWN)[0] == pytest.approx(6)
    assert first_contact(solid + np.array([0, 3, 7]), solid, DOWN) is None
    # Two edges that cross: cubes on their edges, the one turned against the other.
    s = math.sqrt(0.5)
    ridge = (solid - 0.5) @ np.array([[s, 0, s], [0, 1, 0], [-s, 0, s]])
    across = (solid - 0.5) @ np.array([[1, 0, 0], [0, s, s], [0, -s, s]])
    assert first_contact(ridge + np.array([0, 0, 5]), across, DOWN)[0] == pytest.approx(5 - 2 * s)
    ball_ = ball(60)
    round_ = ball_.vertices[ball_.faces]
    distance, point = first_contact(round_ - [5, 0.6, 0], round_, RIGHT)
    assert distance == pytest.approx(5 - math.sqrt(4 - 0.36), abs=2e-3)
    assert np.linalg.norm(point) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("bearing_rad", [0.0, 0.7, 2.5, 4.0])
def test_what_touches_touches_and_nothing_intersects(bearing_rad: float) -> None:
    surfaces = [box(2, 1, 1), ball(), box(1, 1, 3)]
    keys = [
        {},
        {"relation": "touching", "bearing_rad": bearing_rad},
        {"relation": "touching", "bearing_rad": bearing_rad + 2, "yaw_rad": 0.4},
    ]
    places = rest(*zip(surfaces, keys, strict=True))
    assert [place.relation for place in places] == [None, "touching", "touching"]
    for surface, place in zip(surfaces, places, strict=True):
        # On the ground to a thousandth of a millimetre.
        assert world(surface, place)[..., 2].min() == pytest.approx(0, abs=1e-5)
    for number in (1, 2):
        towards = -np.array([math.cos(keys[number]["bearing_rad"]), math.sin(keys[number]["bearing_rad"]), 0])
        here = world(surfaces[number], places[number])
        gaps = [
            found[0] - 20
            for other in range(number)
            if (found := first_contact(here - 20 * towards, world(surfaces[other], places[other]), towards))
        ]
        # At real size a unit is 100 mm: within a micrometre, and never through.
        assert min(gaps) == pytest.approx(0, abs=1e-5)


def test_apart_keeps_its_gap_in_metres() -> None:
    pair = rest((box(1, 1, 1), {}), (box(1, 1, 1), {"relation": "apart", "gap_m": 0.05}))
    left, right = (world(box(1, 1, 1), place) for place in pair)
    assert right[..., 0].min() - left[..., 0].max() == pytest.approx(0.5)
    assert pair[1].gap * UNIT_M == pytest.approx(0.05)


@pytest.mark.parametrize("place_u", [0.0, 0.3, 0.99])
def test_a_stack_is_level_and_keeps_its_balance(place_u: float) -> None:
    lower, upper = box(2, 2, 1), box(1, 1, 0.8)
    places = rest((lower, {}), (upper, {"relation": "stacked", "place_u": place_u}))
    assert places[1].relation == "stacked"
    above = world(upper, places[1])
    assert above[..., 2].min() == pytest.approx(1)
    middle = above.mean(axis=(0, 1))[:2]
    assert (np.abs(middle - world(lower, places[0]).mean(axis=(0, 1))[:2]) < 1).all()


def test_nothing_stands_on_a_ball() -> None:
    places = rest((ball(), {}), (box(1, 1, 1), {"relation": "stacked"}))
    assert places[1].relation == "touching"
    assert world(box(1, 1, 1), places[1])[..., 2].min() == pytest.approx(0, abs=1e-6)


def test_a_board_leans_against_a_box_and_a_cube_does_not() -> None:
    board = box(1.2, 0.1, 3)
    places = rest((box(1, 1, 2), {}), (board, {"relation": "leaning", "bearing_rad": 0.3, "tilt_rad": 0.15}))
    assert (places[1].relation, places[1].pose) == ("leaning", "leaning")
    there = world(board, places[1])
    towards = -np.array([math.cos(0.3), math.sin(0.3), 0])
    touching, point = first_contact(there - 20 * towards, world(box(1, 1, 2), places[0]), towards)
    assert touching == pytest.approx(20, abs=1e-5)
    foot = there.reshape(-1, 3)[there.reshape(-1, 3)[:, 2] < 1e-6]
    # It would fall towards the box, which holds it higher up.
    assert (foot @ towards).max() < centre_of_mass(there) @ towards < point @ towards
    assert rest((box(1, 1, 2), {}), (box(1, 1, 1), {"relation": "leaning", "tilt_rad": 0.1}))[1].relation == (
        "touching"
    )


def test_equal_groups_settle_to_the_bit() -> None:
    def group() -> list[bytes]:
        keys = {"relation": "touching", "bearing_rad": 0.4, "pose": "stable", "pose_u": 0.7}
        return [place.position.tobytes() for place in rest((ball(), {}), (box(1, 2, 3), keys))]

    assert group() == group()


def test_turns_between_directions_are_rotations() -> None:
    for end in (RIGHT, -RIGHT, DOWN, np.array([0.6, 0.0, 0.8])):
        turn = turn_between(RIGHT, end)
        np.testing.assert_allclose(turn @ RIGHT, end, atol=1e-12)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1)


def test_relations_are_planned_as_often_as_their_weights_where_they_are_possible() -> None:
    keys = {"objects": [2, 2], "arrangement": {"apart": 1, "touching": 3}}
    relations = [plan["objects"][1]["relation"] for plan in plans("relighting_swap", 1000, **keys)]
    assert relations.count("touching") / 1000 == pytest.approx(0.75, abs=0.05)
    default = [plan["objects"][1]["relation"] for plan in plans("relighting_swap", 1000, objects=[2, 2])]
    assert {relation: default.count(relation) > 30 for relation in default} == dict.fromkeys(
        ("apart", "touching", "stacked", "leaning"), True
    )
    lying = [plan["objects"][0] for plan in plans("shadow_generation", 1000)]
    assert all(entry["pose"] != "stable" for entry in lying if entry["id"].startswith(("chair", "mannequin")))
    mugs = [entry["pose"] == "stable" for entry in lying if entry["id"].startswith("mug")]
    assert 0.02 < np.mean(mugs) < 0.5


@pytest.mark.parametrize("kind", ["object_removal", "geometry"])
def test_one_object_of_a_room_may_lean_on_one_of_its_walls(kind: str) -> None:
    leaning = 0
    for plan in plans(kind, 300, objects=[3, 4]):
        walls = [wall["azimuth_rad"] for wall in plan["receivers"] if wall["azimuth_rad"] is not None]
        on_walls = [entry for entry in plan["objects"] if "wall_rad" in entry]
        assert len(on_walls) <= 1
        for entry in on_walls:
            assert entry["relation"] == "leaning"
            assert entry["wall_rad"] in walls
        leaning += len(on_walls)
    assert leaning > 5
    assert not any("wall_rad" in entry for plan in plans("relighting_swap", 100) for entry in plan["objects"])


def test_no_removed_object_holds_up_one_that_stays() -> None:
    held = 0
    for plan in plans("object_removal", 1000, hidden=[1, 3], pairs_per_group=4, twins=0.3):
        for pair in plan["pairs"]:
            gone = {*pair["absent"], *pair["removed"]}
            for number, entry in enumerate(plan["objects"]):
                if entry.get("relation") in ("stacked", "leaning"):
                    held += 1
                    assert not (entry["of"] in gone and number not in gone)
                    # Nor is it gone from the source alone.
                    assert not (entry["of"] in pair["absent"] and number not in pair["absent"])
    assert held > 300


def test_an_order_of_removal_changes_only_what_would_float() -> None:
    objects = [{}, {"relation": "stacked", "of": 0}, {"relation": "touching", "of": 0}, {}]
    assert free_first([3, 2, 1, 0], objects) == [3, 2, 1, 0]
    assert free_first([0, 3, 1, 2], objects) == [3, 1, 0, 2]


@pytest.mark.parametrize("bearing_rad", [0.0, 1.5, 4.0])
def test_a_board_leans_on_the_wall_behind_all_others(bearing_rad: float) -> None:
    board, wall_rad = box(1.2, 0.1, 3), 0.8
    keys = {"relation": "leaning", "wall_rad": wall_rad, "tilt_rad": 0.15, "gap_m": 0.03}
    places = rest(
        (box(1, 1, 2), {}),
        (board, keys | {"bearing_rad": bearing_rad}),
        # Beside the board by its plan, it stands beside the box: the wall is no place for it.
        (box(1, 1, 1), {"relation": "touching", "of": 1, "bearing_rad": wall_rad}),
    )
    assert (places[1].relation, places[1].of, places[1].wall_rad) == ("leaning", None, wall_rad)
    assert (places[2].relation, places[2].of) == ("touching", 0)
    towards = np.array([math.cos(wall_rad), math.sin(wall_rad), 0.0])
    there = world(board, places[1]).reshape(-1, 3)
    top = there[(there @ towards).argmax()]
    foot = there[there[:, 2] < there[:, 2].min() + 1e-6]
    assert there[:, 2].min() == pytest.approx(0, abs=1e-6)
    # It would fall to the wall, which holds it higher up, and nothing else reaches so far.
    assert (foot @ towards).max() < centre_of_mass(world(board, places[1])) @ towards < top @ towards
    assert top[2] > 1.5
    for surface, place in ((box(1, 1, 2), places[0]), (box(1, 1, 1), places[2])):
        assert (world(surface, place) @ towards).max() < top @ towards
        found = first_contact(world(surface, place) - 20 * towards, world(board, places[1]), towards)
        assert found is None or found[0] > 20.2


def test_what_does_not_lean_by_itself_touches_before_a_wall_too() -> None:
    keys = {"relation": "leaning", "wall_rad": 0.8, "tilt_rad": 0.1}
    assert rest((box(1, 1, 2), {}), (box(1, 1, 1), keys))[1].relation == "touching"
