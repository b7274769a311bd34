"""What plans draw for scenes: places that do not overlap, sizes as the paper has them, plausible surfaces."""

import math

import numpy as np
import pytest

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.scene.frame_sizes import SizeMix
from pairbridge.datagen.scene.palette import DARKEST, LIGHTEST, saturation
from pairbridge.datagen.scene.placements import scattered, upper_hemisphere
from pairbridge.datagen.scene.specs import SURFACE_KINDS
from pairbridge.datagen.scene.surface_draws import ground_surface, wall_surface


@pytest.mark.parametrize("seed", range(40))
def test_scattered_discs_keep_their_distance_and_stay_together(seed: int) -> None:
    draw = rng(seed, "discs")
    radii = draw.uniform(0.4, 1.2, draw.integers(1, 8)).tolist()
    places = scattered(draw, radii, gap=0.1)
    for i, one in enumerate(places):
        for j, other in enumerate(places[:i]):
            assert math.dist(one, other) >= radii[i] + radii[j] + 0.1 - 1e-6
    assert np.mean(places, axis=0) == pytest.approx([0, 0], abs=1e-9)
    assert max(map(math.hypot, *zip(*places, strict=True))) < 2.2 * sum(radii)


def test_budgets_and_aspects_are_those_of_the_paper() -> None:
    mix = SizeMix()
    sizes = np.array([mix.draw(rng(seed, "size")) for seed in range(4000)])
    side = np.sqrt(sizes.prod(axis=1))
    nearest = np.array(sorted(mix.budgets))[np.abs(side[:, None] - sorted(mix.budgets)).argmin(axis=1)]
    for budget, share in mix.budgets.items():
        assert (nearest == budget).mean() == pytest.approx(share, abs=0.03)
    np.testing.assert_allclose(side, nearest, rtol=0.03)
    aspect = sizes[:, 0] / sizes[:, 1]
    assert aspect.min() < 0.27
    assert aspect.max() > 3.7
    assert np.median(np.log(aspect)) == pytest.approx(0, abs=0.06)
    assert (sizes % 8 == 0).all()
    assert mix.mean_pixels == pytest.approx(sizes.prod(axis=1).mean(), rel=0.05)


def test_directions_are_uniform_over_the_zone_between_two_elevations() -> None:
    heights = np.array([upper_hemisphere(rng(seed, "up"), (20, 70))[2] for seed in range(2000)])
    low, high = math.sin(math.radians(20)), math.sin(math.radians(70))
    assert low <= heights.min() <= heights.max() <= high
    assert heights.mean() == pytest.approx((low + high) / 2, abs=0.02)


def test_surfaces_cover_every_kind_with_plausible_reflectances() -> None:
    drawn = [draw(rng(seed, "surface")) for seed in range(200) for draw in (ground_surface, wall_surface)]
    assert {surface.kind for surface in drawn} == set(SURFACE_KINDS)
    colours = np.array([[surface.colour, surface.accent] for surface in drawn])
    assert colours.min() >= DARKEST
    assert colours.max() <= LIGHTEST


def test_walls_and_floors_are_as_light_and_as_grey_as_rooms_are() -> None:
    """EN 12464-1: walls reflect 0.5 to 0.8, floors 0.2 to 0.4; here at the middle of what is drawn."""
    walls, floors = (
        [draw(rng(seed, "room")).colour for seed in range(600)] for draw in (wall_surface, ground_surface)
    )
    assert 0.45 < np.median(np.mean(walls, axis=1)) < 0.8
    assert 0.15 < np.median(np.mean(floors, axis=1)) < 0.4
    for colours in (walls, floors):
        strong = np.mean([saturation(colour) > 0.5 for colour in colours])
        assert 0.005 < strong < 0.15
