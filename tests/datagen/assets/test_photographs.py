"""Photographs in every state that the wild holds them in: used as they are meant, or refused by name."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from pairbridge.datagen.assets.photographs import (
    PhotoRules,
    decode_grey16,
    decode_image,
    read_header,
    read_photograph,
)
from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import make_plan
from pairbridge.datagen.sourcing.fingerprints import near_duplicates, perceptual_hash
from pairbridge.datagen.sourcing.sources import build_catalogue
from tests.support.broken_photographs import BROKEN, IMAGE, encoded, png, scene, with_alpha


@pytest.mark.parametrize("kind", BROKEN)
def test_every_broken_photograph_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    data, why = BROKEN[kind]
    (tmp_path / f"{kind}.jpg").write_bytes(data)
    with pytest.raises(AssetError, match=rf"image {kind}\.jpg cannot be used: .*{why}"):
        read_photograph(tmp_path / f"{kind}.jpg", PhotoRules())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_as_their_exif_says(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    data = encoded(Image.fromarray(IMAGE), kind, exif=exif, **options)
    flat = decode_image(encoded(Image.fromarray(IMAGE), kind, **options), "flat")
    turns: dict[int, Callable] = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: np.rot90,
    }
    turned = decode_image(data, "turned")
    np.testing.assert_array_equal(turned, turns[orientation](flat))
    header = read_header(io.BytesIO(data), "turned")
    assert (header.height, header.width) == turned.shape[:2]


def test_what_has_one_meaning_is_used() -> None:
    np.testing.assert_array_equal(decode_image(with_alpha(255), "opaque"), IMAGE)
    grey = decode_image(png(IMAGE[..., 0]), "grey")
    np.testing.assert_array_equal(grey, np.repeat(IMAGE[..., :1], 3, axis=2))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(decode_image(png(IMAGE, icc_profile=profile), "profile"), IMAGE)
    palette = Image.fromarray(IMAGE).convert("P")
    np.testing.assert_array_equal(
        decode_image(encoded(palette, "PNG"), "p"), np.array(palette.convert("RGB"))
    )


def test_sixteen_bit_colour_keeps_its_high_byte() -> None:
    deep = IMAGE.astype(np.uint16) * 256 + 77
    done, data = cv2.imencode(".png", deep[..., ::-1])
    assert done
    np.testing.assert_array_equal(decode_image(data.tobytes(), "deep"), IMAGE)


def test_a_phones_second_picture_is_no_animation() -> None:
    other = Image.fromarray(scene("preview"))
    data = encoded(Image.fromarray(IMAGE), "MPO", save_all=True, append_images=[other], quality=95)
    np.testing.assert_array_equal(
        decode_image(data, "phone"),
        decode_image(encoded(Image.fromarray(IMAGE), "JPEG", quality=95), "plain"),
    )


def test_a_wrong_colour_profile_makes_no_noise(capfd: pytest.CaptureFixture) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decode_image(png(IMAGE, icc_profile=b"\0" * 200), "odd-profile")
    assert capfd.readouterr() == ("", "")


def test_depth_is_read_exactly_or_not_at_all() -> None:
    depth = rng(0, "depth").integers(0, 65536, (8, 9), dtype=np.uint16)
    np.testing.assert_array_equal(decode_grey16(png(depth), "d"), depth)
    with pytest.raises(AssetError, match="no 16-bit grey PNG"):
        decode_grey16(png(IMAGE[..., 1]), "d")


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_photograph_is_left_out_by_the_plan_and_named(tmp_path: Path, kind: str) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "broken.png").write_bytes(BROKEN[kind][0])
    for name in ("a", "b", "c"):
        (photos / f"{name}.png").write_bytes(png(scene(name)))
    pins = [f"{name}: {{split: train, licence: CC0-1.0}}\n" for name in ("a", "b", "c", "broken")]
    (photos / "catalogue.yaml").write_text("".join(pins))
    recipe = {"kind": "photo_removal", "groups": {"train": 12}, "pairs_per_group": 1, "size_WH": [32, 32]}
    config = DatasetConfig.model_validate(
        {"name": "p", "assets": {"embedded": False, "photos": [photos]}, "recipes": {"r": recipe}}
    )
    plan = make_plan(config, build_catalogue(config.assets, None))
    stream = plan.streams[0]
    left = plan.catalogue.left_out
    assert [(one.id, one.kind, one.refused) for one in left] == [("broken", "photo", True)]
    assert left[0].reason.startswith("image broken.png cannot be used: ")
    assert str(tmp_path) not in left[0].reason
    drawn = str([plan.group(stream, group).params for group in range(stream.num_groups)])
    assert "broken" not in drawn
    assert all(f"'{name}'" in drawn for name in ("a", "b", "c"))


def test_near_duplicates_are_copies_and_nothing_else() -> None:
    scenes = [scene(number) for number in range(60)]
    copies = {}
    for number in range(0, 60, 5):
        image = Image.fromarray(scenes[number]).resize((36, 24))
        copies[len(scenes)] = number
        scenes.append(decode_image(encoded(image, "JPEG", quality=50), "copy"))
    assert near_duplicates([perceptual_hash(image) for image in scenes]) == copies


@pytest.mark.parametrize("distance", [0, 1, 4, 9])
def test_near_duplicates_equal_a_plain_search(distance: int) -> None:
    draw = rng(0, "hashes")
    hashes = draw.integers(0, 2**63, 40, dtype=np.int64).tolist()
    for value in hashes[:20]:
        flips = draw.choice(64, draw.integers(0, 13), replace=False).tolist()
        hashes.append(value ^ sum(1 << flip for flip in flips))
    kept: list[int] = []
    expected = {}
    for index, value in enumerate(hashes):
        near = [other for other in kept if (hashes[other] ^ value).bit_count() <= distance]
        if near:
            expected[index] = near[0]
        else:
            kept.append(index)
    assert near_duplicates(hashes, distance) == expected
    assert expected


def test_a_photograph_its_folder_excludes_is_not_in_the_catalogue(tmp_path: Path) -> None:
    for name in ("kept", "gone"):
        (tmp_path / f"{name}.png").write_bytes(png(scene(name)))
    (tmp_path / "catalogue.yaml").write_text("gone: {exclude: near-duplicate of kept}\n")
    config = DatasetConfig.model_validate(
        {
            "name": "p",
            "assets": {"embedded": False, "photos": [tmp_path]},
            "recipes": {"r": {"kind": "photo_removal"}},
        }
    )
    assert [asset.id for asset in build_catalogue(config.assets, None).assets] == ["kept"]
