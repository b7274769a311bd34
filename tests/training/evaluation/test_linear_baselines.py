"""Predictors that see the conditions, on pairs whose answer is a linear function of them."""

from collections.abc import Callable

import numpy as np
import pytest

from pairbridge.datagen.lighting.environment_maps import irradiance, map_directions
from pairbridge.training.data.targets import light_planes
from pairbridge.training.evaluation.baselines import baselines
from pairbridge.training.evaluation.linear_baselines import FittingPair, Predictor
from pairbridge.training.evaluation.tasks import Task

SIDE = 24
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
DISC = np.where(np.hypot(ROWS, COLUMNS) < SIDE / 3, 255, 0).astype(np.uint8)
ACROSS, UP = COLUMNS / (SIDE / 3), -ROWS / (SIDE / 3)


def picture(levels: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def sides(count: int, make: Callable[[np.random.Generator], FittingPair]) -> list[list[FittingPair]]:
    """Training, validation and test pairs."""
    return [[make(np.random.default_rng((side, number))) for number in range(count)] for side in range(3)]


def error(predict: Predictor, pairs: list[FittingPair], *, inside: bool = False) -> float:
    errors = []
    for one in pairs:
        off = predict(one.source, one.mask, one.conditions).astype(float) - one.target
        errors.append(np.square(off[DISC > 0] if inside else off).mean())
    return float(np.mean(errors))


def lit_from_a_side(draw: np.random.Generator) -> FittingPair:
    """A ball that gets the light of a map on the side that it comes from."""
    towards = draw.normal(size=3)
    facing = np.maximum(map_directions() @ (towards / np.linalg.norm(towards)), 0)
    radiance = np.full((32, 64, 3), 0.2) + 4 * facing[..., None]
    depth = np.sqrt(np.maximum(1 - ACROSS**2 - UP**2, 0))
    normals = np.stack([ACROSS, UP, depth], axis=2)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    source = np.full((SIDE, SIDE, 3), 90.0) + draw.normal(0, 3, (SIDE, SIDE, 3))
    shading = 4 * irradiance(radiance, normals)
    target = np.where(DISC[..., None] > 0, shading, source)
    light = {"light_target": light_planes(radiance)}
    return FittingPair(picture(source), picture(target), DISC, light, DISC >= 0)


def test_the_ridge_on_light_brightens_the_side_that_the_light_comes_from() -> None:
    train, validation, test = sides(40, lit_from_a_side)
    fitted = baselines(Task.RELIGHTING, train, validation)
    with_light, without = (
        error(fitted[name], test, inside=True) for name in ("light_ridge", "colour_shift_ridge")
    )
    assert with_light < 0.2 * without
    blind = [[one._replace(conditions={}) for one in side] for side in (train, validation)]
    assert "light_ridge" not in baselines(Task.RELIGHTING, *blind)


def shadowed(draw: np.random.Generator) -> FittingPair:
    """A lamp in one of two corners of a light map, and a shadow on the other side."""
    right = bool(draw.random() < 0.5)
    light = np.zeros((SIDE, SIDE), np.uint8)
    light[:, SIDE // 2 :] = 255 if right else 0
    light[:, : SIDE // 2] = 0 if right else 255
    source = draw.uniform(100, 200) + np.zeros((SIDE, SIDE, 3))
    target = source.copy()
    target[:, :8] -= 60 if right else 0
    target[:, -8:] -= 0 if right else 60
    return FittingPair(picture(source), picture(target), DISC, {"light": light}, DISC >= 0)


def test_the_mean_shadow_of_like_lamps_falls_away_from_the_lamp() -> None:
    train, validation, test = sides(16, shadowed)
    fitted = baselines(Task.SHADOW, train, validation)
    assert error(fitted["nearest_lights"], test) < 3 < 0.01 * error(fitted["mean_shadow"], test)


def shaded(draw: np.random.Generator) -> FittingPair:
    """Normals, and the picture of them under one light; the source is the normals as a picture."""
    normal = draw.normal(size=(SIDE, SIDE, 3))
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    target = np.repeat(normal @ np.array([20.0, 40.0, 30.0])[:, None], 3, axis=2) + 120
    source = picture((normal + 1) * 127.5)
    return FittingPair(source, picture(target), DISC, {}, DISC >= 0)


def test_the_ridge_on_pixels_finds_the_light_on_normals_and_the_way_back() -> None:
    train, validation, test = sides(6, shaded)
    fitted = baselines(Task.PICTURE, train, validation)
    assert error(fitted["pixel_ridge"], test) < 1 < 0.01 * error(fitted["training_mean"], test)
    back = [
        [
            one._replace(
                source=one.target, target=(one.source.astype(np.float32) / 127.5 - 1)[..., [1, 1, 1]]
            )
            for one in side
        ]
        for side in (train, validation, test)
    ]
    made = baselines(Task.NORMALS, *back[:2])["pixel_ridge"](back[2][0].source, DISC, {})
    assert made.dtype == np.float32
    assert np.abs(made).max() <= 1
    assert np.corrcoef(made[..., 0].ravel(), back[2][0].target[..., 0].ravel())[0, 1] > 0.5


def test_a_surface_is_predicted_where_it_is_judged() -> None:
    def faded(draw: np.random.Generator) -> FittingPair:
        source = draw.uniform(60, 180, (SIDE, SIDE, 3))
        target = np.where(DISC[..., None] > 0, 0.5 * source + 40, 0)
        return FittingPair(picture(source), picture(target), DISC, {"mask": DISC}, DISC >= 0)

    train, validation, test = sides(6, faded)
    fitted = baselines(Task.ALBEDO, train, validation)
    assert error(fitted["foreground_ridge"], test, inside=True) < 1
    made = fitted["foreground_ridge"](test[0].source, DISC, test[0].conditions)
    assert np.array_equal(made[DISC == 0], test[0].source[DISC == 0])


def test_a_region_is_the_mask_grown_or_what_a_ridge_marks() -> None:
    def with_a_shadow(draw: np.random.Generator) -> FittingPair:
        dark = (np.hypot(ROWS, COLUMNS) < SIDE / 3 + 2) | ((np.abs(ROWS) < 3) & (COLUMNS > 0))
        source = np.where(dark[..., None], 40, 200) + draw.normal(0, 5, (SIDE, SIDE, 3))
        region = np.repeat(np.where(dark, 255, 0).astype(np.uint8)[..., None], 3, axis=2)
        return FittingPair(picture(source), region, DISC, {"mask": DISC}, DISC >= 0)

    train, validation, test = sides(4, with_a_shadow)
    fitted = baselines(Task.REGION, train, validation)
    right = test[0].target[..., 0] > 0
    found = {name: fitted[name](test[0].source, DISC, test[0].conditions)[..., 0] > 0 for name in fitted}
    scores = {name: (marked & right).sum() / (marked | right).sum() for name, marked in found.items()}
    assert scores["region_ridge"] > 0.95
    assert (DISC > 0).sum() / right.sum() < scores["grown_mask"] < scores["region_ridge"]


def test_what_is_inserted_is_pasted_and_shifted() -> None:
    def pasted(draw: np.random.Generator) -> FittingPair:
        plate = draw.uniform(100, 150) + np.zeros((SIDE, SIDE, 3))
        cut_out = np.where(DISC[..., None] > 0, draw.uniform(50, 90), 0.0)
        whole = np.where(DISC[..., None] > 0, cut_out + 30, plate)
        conditions = {"foreground": picture(cut_out), "mask": DISC}
        return FittingPair(picture(plate), picture(whole), DISC, conditions, DISC >= 0)

    train, validation, test = sides(12, pasted)
    fitted = baselines(Task.INSERTION, train, validation)
    assert error(fitted["paste"], test, inside=True) == pytest.approx(900, rel=0.05)
    assert error(fitted["paste_ridge"], test, inside=True) < 5
    without = [[one._replace(conditions={}) for one in side] for side in (train, validation)]
    # A source that somebody pasted before is judged as it is.
    assert baselines(Task.INSERTION, *without).keys() == {"source", "colour_shift_ridge"}


def test_the_light_of_a_picture_is_guessed_from_its_colours() -> None:
    def by_level(draw: np.random.Generator) -> FittingPair:
        level = draw.uniform(0, 1)
        source = picture(np.full((SIDE, SIDE, 3), 40 + 180 * level))
        target = np.full((SIDE, SIDE, 3), 1.6 * level - 0.8, np.float32)
        return FittingPair(source, target, DISC, {}, DISC >= 0)

    train, validation, test = sides(12, by_level)
    fitted = baselines(Task.ENVIRONMENT, train, validation)
    assert error(fitted["whole_ridge"], test) < 1e-3 < 0.1 * error(fitted["training_mean"], test)
