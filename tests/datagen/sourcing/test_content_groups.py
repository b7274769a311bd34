"""What is one and the same comes into one split, whatever it is called; what is not stays apart."""

from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pytest
from PIL import Image

from pairbridge.datagen.assets.catalogue import Asset, AssetsConfig, Catalogue
from pairbridge.datagen.assets.exr_files import read_equirect, write_exr
from pairbridge.datagen.core.errors import CatalogueError
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.sourcing.content_groups import common_name, leaks
from pairbridge.datagen.sourcing.fingerprints import map_fingerprint, photo_fingerprint
from pairbridge.datagen.sourcing.placement import split_by_hash
from pairbridge.datagen.sourcing.sources import build_catalogue
from tests.support.broken_photographs import encoded, png, scene

CUBE = "v 0 0 0\nv 1 0 0\nv 0 1 {}\nf 1 2 3\n"
TRAIN, TEST = (
    [
        name
        for name in (f"img_{number:04d}" for number in range(200))
        if split_by_hash(name.replace("_", "-")) == side
    ]
    for side in ("train", "test")
)


def panorama(name: object, height: int = 64) -> np.ndarray:
    """A map of blurred lights over a dark ground, linear."""
    noise = np.exp2(rng(0, "panorama", str(name)).normal(0, 4, (16, 32, 3))).astype(np.float32)
    return cv2.resize(noise, (2 * height, height), interpolation=cv2.INTER_CUBIC).clip(1e-3)


def hdr(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".hdr", np.ascontiguousarray(pixels[..., ::-1]))[1].tobytes()


def catalogue_of(root: Path, **more: object) -> Catalogue:
    folders = {kind: (root / kind,) for kind in ("objects", "hdris", "photos") if (root / kind).is_dir()}
    return build_catalogue(AssetsConfig(**{"embedded": False} | folders | more), None)


def write(root: Path, **files: bytes) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def groups(catalogue: Catalogue) -> list[list[str]]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for asset in catalogue.assets:
        found.setdefault((asset.kind, asset.group, asset.split), []).append(asset.id)
    names = [name[:2] for name in found]
    assert len(names) == len(set(names)), "a group is in two splits"
    return sorted(found.values())


def test_equal_bytes_are_in_one_split_whatever_they_are_called(tmp_path: Path) -> None:
    names = [*TRAIN[:2], *TEST[:2]]
    write(tmp_path, **{f"photos/{name}.png": png(scene("one")) for name in names})
    write(tmp_path, **{f"photos/other{number}.png": png(scene(number)) for number in range(3)})
    write(tmp_path, **{f"objects/{name}.obj": CUBE.format(1).encode() for name in names})
    catalogue = catalogue_of(tmp_path)
    sizes = [len(group) for group in groups(catalogue)]
    assert sorted(sizes) == [1, 1, 1, 4, 4]
    assert leaks(catalogue.assets) == []


@pytest.mark.parametrize(
    "change", ["smaller", "recompressed", "grey", "brighter", "mirrored", "turned by EXIF"]
)
def test_photographs_of_one_picture_are_in_one_split(tmp_path: Path, change: str) -> None:
    whole = Image.fromarray(cv2.resize(scene("one"), (288, 192), interpolation=cv2.INTER_CUBIC))
    turned = Image.Exif()
    turned[0x0112] = 6
    data = {
        "smaller": lambda: encoded(whole.resize((72, 48)), "PNG"),
        "recompressed": lambda: encoded(whole, "JPEG", quality=25),
        "grey": lambda: encoded(whole.convert("L"), "PNG"),
        "brighter": lambda: encoded(whole.point(lambda v: min(255, v + 25)), "WEBP", quality=80),
        "mirrored": lambda: encoded(whole.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "PNG"),
        "turned by EXIF": lambda: encoded(whole.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=turned),
    }[change]()
    write(tmp_path, **{f"photos/{TRAIN[0]}.png": encoded(whole, "PNG"), f"photos/{TEST[0]}.jpg": data})
    write(tmp_path, **{"photos/stranger.png": png(scene("two"))})
    assert [len(group) for group in groups(catalogue_of(tmp_path))] in ([1, 2], [2, 1])


def test_environment_maps_of_one_scene_are_in_one_split_at_any_size_exposure_and_format(
    tmp_path: Path,
) -> None:
    (tmp_path / "hdris").mkdir()
    names = iter([*TRAIN[:2], *TEST[:3]])
    whole = panorama("one", 256)
    for height in (256, 128, 32):
        small = cv2.resize(whole, (2 * height, height), interpolation=cv2.INTER_AREA)
        write_exr(tmp_path / "hdris" / f"{next(names)}.exr", small)
    write_exr(tmp_path / "hdris" / f"{next(names)}.exr", whole * 5.5)
    write(tmp_path, **{f"hdris/{next(names)}.hdr": hdr(whole)})
    for number in range(6):
        write_exr(tmp_path / "hdris" / f"other{number}.exr", panorama(number))
    # Even light is no sign of being the same.
    for number in range(3):
        even = 1 + 0.02 * cv2.GaussianBlur(panorama(number + 10), (0, 0), 3)
        write_exr(tmp_path / "hdris" / f"even{number}.exr", even)
    assert sorted(map(len, groups(catalogue_of(tmp_path)))) == [1] * 9 + [5]


def test_an_embedded_map_under_its_poly_haven_name_and_under_any_other_is_where_the_embedded_one_is(
    tmp_path: Path,
) -> None:
    embedded = {
        asset.id: asset for asset in build_catalogue(AssetsConfig(), None).assets if asset.kind == "hdri"
    }
    if not embedded:
        pytest.skip("bpy is not installed, and the HDRIs come with it")
    write(tmp_path, **{"hdris/venice_sunset_4k.hdr": hdr(panorama("not what its name says"))})
    city = read_equirect(embedded["city"].path)
    write_exr(tmp_path / "hdris" / "holiday.exr", cv2.resize(city, (256, 128), interpolation=cv2.INTER_AREA))
    catalogue = catalogue_of(tmp_path, embedded=True)
    assert catalogue.get("venice_sunset_4k").split == embedded["sunset"].split == "validation"
    assert catalogue.get("holiday").split == embedded["city"].split == "test"
    assert catalogue.get("holiday").group == catalogue.get("city").group


@pytest.mark.parametrize(
    "names",
    [
        ("venice_sunset_1k", "venice_sunset_2k", "venice_sunset_16k", "1k/venice_sunset"),
        ("chair_2048", "chair_512px", "chair-300x200", "chair@2x", "chair_1080p"),
        ("chair_LOD0", "chair_LOD 1", "ChairLOD2", "chair-lowpoly", "chair_high_poly", "chair_small"),
        ("chair_v1", "chair_v2.1", "chair version 3", "chair-rev4", "v2/chair", "chair_final"),
        ("chair", "chair (1)", "chair-copy", "chair - Copy (2)", "Copy of chair", "chair copy 3"),
        ("ArmChair_01_1k.gltf/ArmChair_01_1k", "ArmChair_01_2k.gltf/ArmChair_01_2k", "ArmChair_01"),
        ("chair_4k_v2", "chair_8k", "chair_LOD1_2k"),
    ],
)
def test_names_that_differ_by_size_detail_version_or_copy_are_one(names: tuple[str, ...]) -> None:
    beside = frozenset(PurePosixPath(name).name.lower() for name in names)
    assert len({common_name(PurePosixPath(f"{name}.obj"), beside) for name in names}) == 1


@pytest.mark.parametrize(
    "names",
    [
        ("chair_01", "chair_02", "chair_03"),
        ("IMG_0001", "IMG_0002", "IMG_1234"),
        ("holiday (1)", "holiday (2)", "holiday (3)"),
        ("1k", "2k", "2048", "copy"),
        ("red-chair", "blue-chair", "chair"),
        ("a/scan", "b/scan"),
    ],
)
def test_names_that_count_or_describe_different_things_stay_apart(names: tuple[str, ...]) -> None:
    beside = frozenset(PurePosixPath(name).name.lower() for name in names)
    assert len({common_name(PurePosixPath(f"{name}.obj"), beside) for name in names}) == len(names)


def test_a_pin_decides_for_all_that_belongs_together(tmp_path: Path) -> None:
    names = [*TRAIN[:2], *TEST[:1]]
    write(tmp_path, **{f"photos/{name}.png": png(scene("one")) for name in names})
    (tmp_path / "photos" / "catalogue.yaml").write_text(f"{names[0]}: {{split: validation}}\n")
    assert {asset.split for asset in catalogue_of(tmp_path).assets} == {"validation"}


def test_pins_that_contradict_are_refused_by_name_and_a_group_of_its_own_tells_things_apart(
    tmp_path: Path,
) -> None:
    write(tmp_path, **{"photos/a.png": png(scene("one")), "photos/b.png": png(scene("one"))})
    pins = tmp_path / "photos" / "catalogue.yaml"
    pins.write_text("a: {split: train}\nb: {split: test}\n")
    with pytest.raises(CatalogueError) as refused:
        catalogue_of(tmp_path)
    for word in ("'a'", "'b'", "train", "test", "bytes are equal"):
        assert word in refused.value.cause
    # Names may mislead; bytes do not.
    write(tmp_path, **{"photos/b.png": png(scene("two")), "photos/a_2k.png": png(scene("three"))})
    pins.write_text("a: {split: train}\na_2k: {split: test}\n")
    with pytest.raises(CatalogueError, match="names differ only"):
        catalogue_of(tmp_path)
    pins.write_text("a: {split: train}\na_2k: {split: test, group: another}\n")
    assert catalogue_of(tmp_path).get("a_2k").split == "test"


def test_what_joins_a_begun_dataset_goes_to_the_split_of_its_group(tmp_path: Path) -> None:
    write(
        tmp_path, **{f"photos/{TRAIN[0]}.png": png(scene("one")), f"photos/{TEST[0]}.png": png(scene("two"))}
    )
    config = AssetsConfig(embedded=False, photos=(tmp_path / "photos",))
    begun = {asset.id: asset for asset in build_catalogue(config, None).assets}
    assert {asset.split for asset in begun.values()} == {"train", "test"}
    # Named so that alone it would be first of its group, in the other split.
    write(tmp_path, **{"photos/a_copy.png": png(scene("one"))})
    grown = build_catalogue(config, None, begun)
    assert grown.get("a_copy").split == "train"
    assert [grown.get(asset_id) for asset_id in begun] == list(begun.values())


def test_what_belongs_to_two_splits_of_a_begun_dataset_is_left_out_by_name(tmp_path: Path) -> None:
    one, two = png(scene("one")), png(scene("two"))
    write(tmp_path, **{f"photos/{TRAIN[0]}.png": one, f"photos/{TEST[0]}.png": two})
    config = AssetsConfig(embedded=False, photos=(tmp_path / "photos",))
    begun = {asset.id: asset for asset in build_catalogue(config, None).assets}
    # Of one by its name, of two by its bytes.
    write(tmp_path, **{f"photos/{TRAIN[0]}_2k.png": two})
    grown = build_catalogue(config, None, begun)
    assert [asset.id for asset in grown.assets] == sorted(begun)
    assert [(left.id, left.fault) for left in grown.left_out] == [(f"{TRAIN[0]}_2k", "in_two_splits")]


def test_families_share_their_code_and_nothing_else() -> None:
    common = {"kind": "family", "licence": "", "author": "", "source": "", "sha256": "ab" * 32}
    assert leaks([Asset(id=split, split=split, **common) for split in ("train", "test")]) == []
    one = {**common, "kind": "object"}
    assert leaks([Asset(id=split, split=split, **one) for split in ("train", "test")]) == [
        (0, 1, "their bytes are equal")
    ]


def test_leaks_are_found_from_records_alone() -> None:
    def found(**both: str) -> list:
        of = {"kind": "photo", "licence": "", "author": "", "source": ""} | both
        return leaks([Asset(id=split, split=split, sha256=split, **of) for split in ("train", "test")])

    assert found() == []
    assert [why for _, _, why in found(group="cat")] == ["their names differ only in size, detail or version"]
    assert [why for *_, why in found(fingerprint=photo_fingerprint(scene("one")))] == [
        "they show the same picture"
    ]
    light = map_fingerprint(panorama("one"))
    assert [why for *_, why in found(kind="hdri", fingerprint=light)] == [
        "they are environment maps of one scene"
    ]
