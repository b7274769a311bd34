"""The vocabulary of fields: what is refused of a declaration, of roles and of a value; 16-bit pictures."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.recipes import RECIPES
from pairbridge.datagen.shards.fields import (
    FIELDS,
    FieldKind,
    FieldSpec,
    HoleContent,
    Roles,
    check_roles,
    picture_field,
)
from pairbridge.datagen.shards.sample import decode_field, encode_field
from tests.support.tiny_dataset import TinyDataset, TinyRecipe


def test_sixteen_bits_come_back_and_pillow_reads_the_same() -> None:
    draw = np.random.default_rng(0)
    grey = draw.integers(0, 65536, (5, 7), dtype=np.uint16)
    colour = draw.integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    for value in (grey, colour):
        data = encode_field("roughness.png", value)
        again = decode_field("roughness.png", data)
        assert again.dtype == np.uint16
        assert np.array_equal(again, value)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_field("roughness.png", grey)))), grey)


@pytest.mark.parametrize(
    ("stated", "why"),
    [
        ({"kind": "mask", "encoding": "srgb", "channels": 1, "dtype": "uint8"}, "a mask is share"),
        ({"kind": "normal", "encoding": "vector", "channels": 1, "dtype": "float16"}, "has 3 channels"),
        ({"kind": "depth", "encoding": "planar", "channels": 1, "dtype": "float32"}, "a unit is stated"),
        ({"kind": "image", "encoding": "srgb", "channels": 3}, "channels and dtype"),
        ({"kind": "image", "encoding": "srgb"}, "channels and dtype"),
        ({"kind": "meta", "encoding": "json", "channels": 1, "dtype": "uint8"}, "channels and dtype"),
    ],
)
def test_declarations_that_cannot_be_meant_are_refused(stated: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        FieldSpec.model_validate({**stated, "shows": "x"})


@pytest.mark.parametrize(
    ("roles", "why"),
    [
        ({"target": "plate"}, "target is plate; the fields are"),
        ({"conditions": ["light"]}, "condition light is light"),
        ({"conditions": {"light": "sun"}}, "condition light is sun"),
    ],
)
def test_roles_need_fields(roles: dict[str, object], why: str) -> None:
    fields = {name: FIELDS[name] for name in ("source.png", "target.png", "meta.json")}
    assert check_roles(Roles(), fields) == Roles()
    with pytest.raises(ValueError, match=why):
        check_roles(Roles.model_validate(roles), fields)


def test_two_fields_of_one_name_are_refused() -> None:
    fields = {name: FIELDS["normal.npy"] for name in ("normal.npy", "normal.png")}
    with pytest.raises(ValueError, match="two fields are called normal"):
        check_roles(Roles(source="normal", target="normal"), fields)


def test_every_recipe_states_roles_that_its_fields_can_play() -> None:
    removing = set()
    for kind, (config, recipe) in RECIPES.items():
        if kind == "own":
            continue
        made = recipe(config())
        declared = {**FIELDS, **getattr(made, "declares", {})}
        check_roles(made.roles, {name: declared[name] for name in made.fields})
        if made.roles.hole is not HoleContent.VISIBLE:
            removing.add(kind)
    assert removing == {"object_removal", "photo_removal", "composite_removal"}


def _mask_as_picture(pair) -> None:
    pair["mask.png"] = np.repeat(pair["mask.png"][..., None], 3, axis=2)


def _deep_target(pair) -> None:
    pair["target.png"] = pair["target.png"].astype(np.uint16) * 257


def _narrow_mask(pair) -> None:
    pair["mask.png"] = pair["mask.png"][:, :-1].copy()


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (_mask_as_picture, "field mask.png: it has shape (16, 24, 3), and 1 channels are stated"),
        (_deep_target, "field target.png: it is uint16, and uint8 is stated"),
        (_narrow_mask, "its images differ in size"),
    ],
)
def test_verify_holds_values_against_what_dataset_json_states(tmp_path: Path, edit, why: str) -> None:
    dataset = TinyDataset(recipes={"relight": TinyRecipe(groups={"train": 1})}, edit=edit)
    found = verify_dataset(dataset.write(tmp_path / "d"), decode=True).findings
    assert any(why in finding for finding in map(str, found))


def test_light_has_a_size_of_its_own() -> None:
    assert not FieldKind.LIGHT.has_pixels_of_the_view
    assert picture_field("x").kind.has_pixels_of_the_view
