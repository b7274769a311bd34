"""Predictors that see the conditions, on pairs whose answer is a linear function of them."""

from collections.abc import Callable

import numpy as np
import pytest

from pairbridge.datagen.imaging.colour import srgb_encode
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


def tinted(draw: np.random.Generator) -> FittingPair:
    """A ball of some colour under a light of some colour: the target is their product."""
    albedo, colour = draw.uniform(0.2, 0.9, 3), draw.uniform(0.3, 1.0, 3)
    light = np.broadcast_to(np.rint(255 * colour), (SIDE, SIDE, 3)).astype(np.uint8)
    source = np.where(DISC[..., None] > 0, 200 * albedo, 90.0)
    target = np.where(DISC[..., None] > 0, 255 * albedo * colour, 90.0)
    return FittingPair(picture(source), picture(target), DISC, {"light": light}, DISC >= 0)


def test_the_ridge_on_products_knows_that_a_light_multiplies_a_colour() -> None:
    train, validation, test = sides(120, tinted)
    fitted = baselines(Task.CONTROLLABLE_RELIGHTING, train, validation)
    of_products, of_sums = (
        error(fitted[name], test, inside=True) for name in ("light_colour_ridge", "light_ridge")
    )
    assert of_products < 4 < 0.1 * of_sums
    blind = [[one._replace(conditions={}) for one in side] for side in (train, validation)]
    assert "light_colour_ridge" not in baselines(Task.CONTROLLABLE_RELIGHTING, *blind)


def lit_anew(draw: np.random.Generator) -> FittingPair:
    """A ball of any colour under one level of light, and then under another; both are known."""
    albedo, lights = draw.uniform(0.1, 0.9, 3), draw.uniform(0.2, 1.0, 2)
    source, target = (
        np.where(DISC[..., None] > 0, 255 * srgb_encode(albedo * light), 90.0) for light in lights
    )
    maps = [light_planes(np.full((32, 64, 3), light, np.float32)) for light in lights]
    light = dict(zip(("light_source", "light_target"), maps, strict=True))
    return FittingPair(picture(source), picture(target), DISC, light, DISC >= 0)


def test_the_ridge_to_a_factor_knows_one_light_over_the_other() -> None:
    train, validation, test = sides(60, lit_anew)
    fitted = baselines(Task.RELIGHTING, train, validation)
    of_factor, of_shift = (
        error(fitted[name], test, inside=True) for name in ("light_gain_ridge", "light_ridge")
    )
    assert of_factor < 0.2 * of_shift


def moved_shadow(draw: np.random.Generator) -> FittingPair:
    """An object anywhere, of any size, whose shadow lies beside it, away from a lamp at any height."""
    side, middle, radius = 48, draw.uniform(18, 30, 2), draw.uniform(4, 7)
    rows, columns = np.mgrid[:side, :side] - middle[:, None, None]
    strength = draw.uniform(-1, 1)
    light = np.zeros((side, side), np.uint8)
    light[:, side // 2 :] = round(127 * (1 + strength))
    light[:, : side // 2] = round(127 * (1 - strength))
    mask = np.where(np.hypot(rows, columns) < radius, 255, 0).astype(np.uint8)
    shadow = np.zeros((side, side, 3))
    for sign in (-1, 1):
        there = np.hypot(rows, columns + sign * 2 * radius) < radius
        shadow[there] = -40 * (1 + sign * strength)
    source = np.full((side, side, 3), 170.0)
    return FittingPair(picture(source), picture(source + shadow), mask, {"light": light}, mask >= 0)


def test_the_ridge_around_the_object_finds_a_shadow_where_the_object_is() -> None:
    train, validation, test = sides(60, moved_shadow)
    fitted = baselines(Task.SHADOW, train, validation)

    def squared(name: str) -> float:
        outputs = (fitted[name](one.source, one.mask, one.conditions) for one in test)
        off = [made - one.target.astype(float) for made, one in zip(outputs, test, strict=True)]
        return float(np.square(off).mean())

    # Edges of objects of other sizes are blurred on the way there and back.
    assert squared("aligned_shadow_ridge") < 0.2 * min(squared("nearest_lights"), squared("source"))
    blind = [[one._replace(conditions={}) for one in side] for side in (train, validation)]
    assert "aligned_shadow_ridge" not in baselines(Task.SHADOW, *blind)


def frontal_ball(draw: np.random.Generator) -> FittingPair:
    """A ball anywhere, lit from the camera: bright where it faces it, whichever way it turns from there."""
    side, middle, radius = 48, draw.uniform(16, 32, 2), draw.uniform(8, 14)
    down, right = (np.mgrid[:side, :side] - middle[:, None, None]) / radius
    height = np.sqrt(np.clip(1 - down**2 - right**2, 0, None))
    mask = np.where(height > 0, 255, 0).astype(np.uint8)
    normals = np.stack([right, -down, height], axis=2).astype(np.float32)
    normals[mask == 0] = (0, 0, 1)
    source = np.repeat(np.where(mask > 0, 230 * height, 40)[..., None], 3, axis=2)
    return FittingPair(picture(source), normals, mask, {}, mask > 0)


def test_shape_from_shading_knows_which_way_a_ball_turns() -> None:
    train, validation, test = sides(24, frontal_ball)
    seen = [[one._replace(conditions={"mask": one.mask}) for one in side] for side in (train, validation)]
    by_shading, by_both = baselines(Task.NORMALS, train, validation), baselines(Task.NORMALS, *seen)

    def angle(predict: Predictor, *, masked: bool) -> float:
        found = []
        for one in test:
            made = predict(one.source, one.mask, {"mask": one.mask} if masked else {})
            cosine = (made * one.target).sum(axis=2) / np.linalg.norm(made, axis=2).clip(min=1e-6)
            found.append(np.degrees(np.arccos(cosine.clip(-1, 1)))[one.valid].mean())
        return float(np.mean(found))

    flat = angle(by_shading["training_mean"], masked=False)
    shading = angle(by_shading["shape_ridge"], masked=False)
    both = angle(by_both["shape_ridge"], masked=True)
    assert shading < 0.8 * min(flat, angle(by_shading["pixel_ridge"], masked=False))
    # The place in the mask is the normal of a ball, but for its length.
    assert both < 0.5 * shading
    assert both < 0.5 * angle(by_both["pixel_ridge"], masked=True)
