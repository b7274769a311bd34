"""Materials: reflectances that real surfaces have, as often as they have them, and pictures that repeat."""

import dataclasses

import numpy as np
import pytest

from pairbridge.datagen.blender.families import FAMILIES
from pairbridge.datagen.blender.materials.material import Material
from pairbridge.datagen.blender.materials.material_kinds import (
    CLASSES,
    KINDS,
    implausible,
    material_rand,
    sharpest,
)
from pairbridge.datagen.blender.materials.prints import PRINTS, Print, print_pixels
from pairbridge.datagen.blender.modelling import solids
from pairbridge.datagen.blender.modelling.meshes import box_uv
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.scene import palette
from pairbridge.datagen.scene.family_materials import FAMILY_MATERIALS, families_without

DRAWS = 80
MANUFACTURED = ("painted", "car_paint", "plastic", "ceramic", "fabric", "paper")


def drawn(kind: str, count: int = DRAWS) -> list[Material]:
    return [material_rand(rng(seed, "material", kind), (kind,)) for seed in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_draw_is_in_the_published_ranges_and_equal_when_drawn_again(kind: str) -> None:
    materials = drawn(kind)
    assert [implausible(material) for material in materials] == [()] * DRAWS
    assert materials == drawn(kind)
    assert len(set(materials)) == DRAWS


def test_what_is_out_of_range_is_named() -> None:
    paint = drawn("painted", 1)[0]
    assert implausible(dataclasses.replace(paint, colour=(0.97, 0.9, 0.9))) == ("colour (0.97, 0.9, 0.9)",)
    assert implausible(dataclasses.replace(paint, colour=(0.01, 0.02, 0.02))) == (
        "colour (0.01, 0.02, 0.02)",
    )
    metal = drawn("metal", 1)[0]
    assert implausible(dataclasses.replace(metal, colour=(0.2, 0.2, 0.2))) == ("metal as dull as 0.200",)
    assert implausible(dataclasses.replace(metal, roughness=1.2)) == ("roughness 1.200",)


@pytest.mark.parametrize("kind", MANUFACTURED)
def test_half_of_what_is_made_has_hardly_a_hue(kind: str) -> None:
    saturations = np.array([palette.saturation(material.colour) for material in drawn(kind, 400)])
    assert (saturations < 0.2).mean() >= 0.5
    assert (saturations > 0.5).mean() >= 0.02 or kind in ("paper", "ceramic")


def test_products_are_white_grey_and_black_in_turn() -> None:
    light = np.array([np.mean(palette.product_rand(rng(seed, "product"))) for seed in range(1000)])
    assert 0.2 < (light > 0.5).mean() < 0.5
    assert 0.1 < (light < 0.05).mean() < 0.35
    assert 0.25 < ((light > 0.05) & (light < 0.5)).mean() < 0.65


def test_metals_reflect_what_was_measured_of_them() -> None:
    for material in drawn("metal"):
        assert material.colour in palette.METALS.values()
    # Coloured metals are warm: red is reflected most, blue least.
    for name in ("gold", "copper", "brass", "bronze"):
        red, green, blue = palette.METALS[name]
        assert red > green > blue


def test_roughness_is_a_mixture_of_glossy_satin_and_matt() -> None:
    roughness = np.array([material.roughness for material in drawn("plastic", 400)])
    for low, high in ((0.05, 0.25), (0.3, 0.5), (0.6, 1.0)):
        assert 0.15 < ((roughness >= low) & (roughness <= high)).mean() < 0.6
    assert not ((roughness > 0.5) & (roughness < 0.6)).any()
    assert max(material.roughness for material in drawn("mirror")) <= 0.08


def test_mirrors_and_glass_ask_for_a_sharper_environment_than_matt_things() -> None:
    for kind in ("mirror", "glass"):
        assert min(sharpest(material) for material in drawn(kind)) < 0.05
    for kind in ("clay", "plush", "soil"):
        assert min(sharpest(material) for material in drawn(kind)) > 0.6
    # A glaze mirrors a twentieth of its light: it never asks for the widest copy.
    assert min(sharpest(material) for material in drawn("ceramic")) >= 0.08


def test_every_kind_has_a_class() -> None:
    """That families have those they state: tests/datagen/blender/test_families.py."""
    assert set(CLASSES) == set(KINDS)
    assert set().union(*FAMILY_MATERIALS.values()) <= set(CLASSES.values())


def test_families_can_be_held_out_by_what_they_are_made_of() -> None:
    left = families_without(frozenset({"glass"}), FAMILIES)
    assert "chair" in left
    assert "vase" not in left
    assert families_without(frozenset({"glass"}), ("unheard_of",)) == ()


@pytest.mark.parametrize("kind", PRINTS)
def test_pictures_are_equal_again_and_of_their_three_colours(kind: str) -> None:
    picture = Print(kind=kind, seed=7, paper=(0.8, 0.8, 0.8), ink=(0.03, 0.03, 0.03), second=(0.4, 0.1, 0.1))
    pixels = print_pixels(picture)
    np.testing.assert_array_equal(pixels, print_pixels(picture))
    assert (pixels != print_pixels(dataclasses.replace(picture, seed=8))).mean() > 0.01
    # sRGB of 0.8 and of 0.03.
    assert pixels.max() <= 231
    assert pixels.min() >= 48
    assert pixels.std() > 3


def test_a_sheet_of_veneer_repeats_without_a_seam() -> None:
    wood = Print(kind="veneer", seed=1, paper=(0.6, 0.4, 0.2), ink=(0.1, 0.05, 0.03), second=(0.3, 0.2, 0.1))
    pixels = print_pixels(wood).astype(float)
    seam = np.abs(pixels[:, 0] - pixels[:, -1]).mean()
    assert seam < 2 * np.abs(np.diff(pixels, axis=1)).mean()


def test_pictures_lie_upright_and_unmirrored_on_all_sides_of_a_box() -> None:
    box = solids.box(1.0, 1.0, 1.0, 0.0001, steps=1)
    uv = box_uv(box)
    corners = box.vertices[box.loops]
    for face, start in enumerate(np.cumsum(box.sizes) - box.sizes):
        index = np.arange(start, start + box.sizes[face])
        points, flat = corners[index], uv[index]
        if np.linalg.norm(np.ptp(points, axis=0)) < 1.0:
            continue  # a bevel
        # Seen from outside, corners run counter-clockwise; so they do in the picture.
        u, v = flat.T
        assert np.sum(u * np.roll(v, -1) - v * np.roll(u, -1)) > 0.5
        if abs(np.ptp(points[:, 2])) > 0.5:
            np.testing.assert_allclose(v, points[:, 2])
