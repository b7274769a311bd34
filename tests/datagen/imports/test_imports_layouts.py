"""Named layouts, each on a tiny folder made in that layout, against what was put there."""

import csv
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from pairbridge.datagen.core.errors import AssetError, ConfigError
from pairbridge.datagen.imports.field_codecs import DepthCodec, MaskCodec, NormalCodec
from pairbridge.datagen.imports.field_decoding import decode, decode_depth, planar_depth
from pairbridge.datagen.imports.import_config import ImportConfig
from pairbridge.datagen.imports.imported import ImportedPairs
from pairbridge.datagen.imports.indexing import ImportReport, import_dataset
from pairbridge.training.data.pairs import PairSource
from tests.support.foreign_datasets import (
    SIZE_WH,
    encode,
    hole,
    picture,
    put,
    replica_depth_units,
    vkitti_depth_cm,
    write_hypersim,
    write_replica,
    write_rord,
    write_vkitti,
)


def imported(root: Path, out: Path, layout: dict, **changes) -> ImportReport:
    config = ImportConfig.model_validate({"name": "it", "root": root, "layout": layout, **changes})
    return import_dataset(config, out)


def entries(out: Path, split: str) -> list:
    pairs = ImportedPairs(out, "it", split)
    return [pairs.entry(index) for index in range(len(pairs))]


def all_pairs(out: Path, report: ImportReport) -> dict[str, tuple[str, object]]:
    """{id: (split, pair)} of everything in an import."""
    found = {}
    for split in (name for name, count in report.pairs.items() if count):
        pairs = PairSource(out, "it", split)
        for index, entry in enumerate(entries(out, split)):
            found[entry.id] = split, pairs.pair(index)
    return found


def test_rord_masks_are_black_on_the_object_and_clean_plates_are_left_out(tmp_path: Path) -> None:
    root = write_rord(tmp_path / "rord")
    report = imported(root, tmp_path / "out", {"kind": "rord"})
    assert report.pairs == {"train": 8, "validation": 0, "test": 2}
    assert Counter(entry.reason.split(":")[0] for entry in report.refused) == {"clean plate": 5}
    assert {entry.id for entry in report.refused} == {f"v{video:02d}_0002" for video in range(5)}
    found = all_pairs(tmp_path / "out", report)
    assert {name for name, (split, _) in found.items() if split == "test"} == {"v04_0000", "v04_0001"}
    for name, (_, pair) in found.items():
        np.testing.assert_array_equal(pair.mask, hole(name) * np.uint8(255))
        plate = cv2.imread(str(root / "gt" / f"{name}.jpg"))[..., ::-1]
        np.testing.assert_array_equal(pair.target, plate)
        photograph = cv2.imread(str(root / "img" / f"{name}.jpg"))[..., ::-1]
        kept = pair.mask == 0
        np.testing.assert_array_equal(pair.source[kept], photograph[kept])
        assert (pair.source[~kept] != photograph[~kept]).mean() > 0.9


def test_rord_coarse_masks_are_boxes_and_kept_plates_are_whole(tmp_path: Path) -> None:
    root = write_rord(tmp_path / "rord")
    layout = {"kind": "rord", "masks": "coarse", "clean_plates": "keep"}
    report = imported(root, tmp_path / "out", layout)
    assert sum(report.pairs.values()) == 15
    for name, (_, pair) in all_pairs(tmp_path / "out", report).items():
        expected = np.zeros(SIZE_WH[::-1], np.uint8)
        if name.endswith("0002"):
            np.testing.assert_array_equal(pair.source, pair.target)
        else:
            y, x = np.nonzero(hole(name))
            expected[y.min() : y.max() + 1, x.min() : x.max() + 1] = 255
        np.testing.assert_array_equal(pair.mask, expected)


def test_rord_takes_the_folders_splits_and_given_coarse_masks(tmp_path: Path) -> None:
    root = write_rord(tmp_path / "rord", videos=2, top="train")
    write_rord(root, videos=1, top="val")
    for top in ("train", "val"):
        (root / top / "mask").rename(root / top / "mask_coarse")
    report = imported(root, tmp_path / "out", {"kind": "rord", "mask_folder": "mask_coarse"})
    assert report.pairs == {"train": 4, "validation": 2, "test": 0}
    assert report.groups == {"train": 2, "validation": 1, "test": 0}


def test_rord_without_its_masks_says_so(tmp_path: Path) -> None:
    root = write_rord(tmp_path / "rord", videos=2)
    for path in (root / "mask").iterdir():
        path.unlink()
    with pytest.raises(ConfigError, match=r"no file below .* fits mask/\{id\}\.jpg or mask/\{id\}\.png"):
        imported(root, tmp_path / "out", {"kind": "rord"})


def test_masks_grow_by_a_radius() -> None:
    dot = np.zeros((21, 21), np.uint8)
    dot[10, 10] = 255
    grown = decode(MaskCodec(dilate_px=5), encode(dot), "dot")
    y, x = np.mgrid[-10:11, -10:11]
    radius = np.hypot(y, x)
    assert (grown[radius <= 4] == 255).all()
    assert (grown[radius > 6] == 0).all()


@pytest.mark.parametrize("two_archives", [False, True])
def test_vkitti_ends_at_its_far_plane(tmp_path: Path, two_archives: bool) -> None:
    root = write_vkitti(tmp_path / "vkitti", two_archives=two_archives)
    report = imported(root, tmp_path / "out", {"kind": "vkitti"})
    assert report.pairs == {"train": 2, "validation": 0, "test": 2}
    found = all_pairs(tmp_path / "out", report)
    assert set(found) == {
        f"{scene}/{weather}/Camera_0/00000"
        for scene in ("Scene01", "Scene20")
        for weather in ("clone", "fog")
    }
    split, pair = found["Scene20/fog/Camera_0/00000"]
    assert split == "test"
    depth_m = vkitti_depth_cm() / 100
    valid = depth_m < 80
    np.testing.assert_array_equal(pair.valid, valid * np.uint8(255))
    assert valid.any()
    assert (depth_m[8:] >= 80).any()
    np.testing.assert_allclose(pair.depth[valid], depth_m[valid], rtol=1e-6)
    assert not pair.depth[~valid].any()
    assert (pair.target[..., 0] == pair.target[..., 2]).all()


def test_depth_is_metres_and_nothing_where_nothing_was_measured() -> None:
    depth_mm = np.zeros((40, 50), np.uint16)
    depth_mm[1:] = np.random.default_rng(0).integers(500, 9000, (39, 50))
    np.testing.assert_allclose(decode_depth(DepthCodec(), encode(depth_mm), "d"), depth_mm / 1000, rtol=1e-6)
    near = decode_depth(DepthCodec(far_m=4), encode(depth_mm), "d")
    np.testing.assert_array_equal(near > 0, (depth_mm > 0) & (depth_mm < 4000))
    with pytest.raises(AssetError, match="no pixel holds a usable depth"):
        decode_depth(DepthCodec(), encode(np.zeros((8, 8), np.uint16)), "nothing")


def test_imported_normals_look_up_whatever_their_files_do() -> None:
    picture = np.array([[[128, 255, 128], [255, 0, 128], [0, 0, 0]]], np.uint8)
    up = decode(NormalCodec(), encode(picture), "n")
    down = decode(NormalCodec(y="down"), encode(picture), "n")
    np.testing.assert_array_equal(up, picture)
    np.testing.assert_array_equal(down, [[[128, 0, 128], [255, 255, 128], [0, 0, 0]]])


def test_replica_reads_its_scale(tmp_path: Path) -> None:
    root = write_replica(tmp_path / "replica")
    layout = {"kind": "replica", "far_m": 6}
    report = imported(root, tmp_path / "out", layout, splits={"kind": "all", "split": "test"})
    assert report.pairs["test"] == 4
    assert report.groups["test"] == 2
    _, pair = all_pairs(tmp_path / "out", report)["room1/000001"]
    depth_m = replica_depth_units() / 6553.5
    measured = (depth_m > 0) & (depth_m < 6)
    np.testing.assert_array_equal(pair.valid, measured * np.uint8(255))
    np.testing.assert_allclose(pair.depth[measured], depth_m[measured], rtol=1e-6)
    write_replica(tmp_path / "other", units_per_m=1000)
    with pytest.raises(ConfigError, match=r"1000\.0 depth units a metre, the import 6553\.5"):
        imported(tmp_path / "other", tmp_path / "out2", layout)


def test_hypersims_distance_becomes_planar_depth() -> None:
    """A wall at 3 m, straight ahead: the distance grows towards the corners, the depth does not."""
    for width, height in ((1024, 768), (64, 48)):
        x, y = np.meshgrid(np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2)
        focal_px = 886.81 * width / 1024
        distance_m = 3 * np.sqrt(1 + (x / focal_px) ** 2 + (y / focal_px) ** 2)
        assert distance_m.max() > 3.6
        np.testing.assert_allclose(planar_depth(distance_m.astype(np.float32)), 3, rtol=1e-6)


def test_hypersim_is_read_as_its_authors_lay_it_out(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="the extra `hypersim` is not installed")
    distance_m = np.linspace(1, 9, 48 * 64).reshape(48, 64)
    distance_m[0, :5] = np.nan
    scenes = ("ai_001_001", "ai_001_002")
    root = write_hypersim(tmp_path / "hypersim", distance_m, scenes)
    layout = {"kind": "hypersim", "far_m": 10}
    report = imported(root, tmp_path / "by-hash", layout)
    assert sum(report.pairs.values()) == 4
    assert sum(report.groups.values()) == 2
    columns = ["scene_name", "camera_name", "frame_id", "included_in_public_release", "split_partition_name"]
    rows = [
        (scenes[0], "cam_00", 0, True, "val"),
        (scenes[0], "cam_00", 1, False, ""),
        (scenes[1], "cam_00", 1, True, "test"),
    ]
    with open(root / "metadata_images_split_scene_v1.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])
    report = imported(root, tmp_path / "out", layout)
    assert report.pairs == {"train": 0, "validation": 1, "test": 1}
    assert {entry.reason for entry in report.refused} == {
        "metadata_images_split_scene_v1.csv leaves it out of the public release"
    }
    split, pair = all_pairs(tmp_path / "out", report)["ai_001_002/cam_00/0001"]
    assert split == "test"
    depth_m = planar_depth(distance_m.astype(np.float16).astype(np.float32))
    valid = np.isfinite(depth_m)
    np.testing.assert_array_equal(pair.valid, valid * np.uint8(255))
    np.testing.assert_allclose(pair.depth[valid], depth_m[valid], rtol=1e-6)


def test_hdf5_that_points_elsewhere_is_not_followed(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra `hypersim` is not installed")
    secret = tmp_path / "secret.hdf5"
    with h5py.File(secret, "w") as file:
        file["dataset"] = np.ones((16, 24), np.float16)

    def external_link(file) -> None:
        file["dataset"] = h5py.ExternalLink(str(secret), "dataset")

    def external_storage(file) -> None:
        file.create_dataset("dataset", (16, 24), np.uint8, external=[(str(secret), 0, 16 * 24)])

    def virtual(file) -> None:
        layout = h5py.VirtualLayout((16, 24), np.float16)
        layout[:] = h5py.VirtualSource(str(secret), "dataset", (16, 24))
        file.create_virtual_dataset("dataset", layout)

    def text(file) -> None:
        file["dataset"] = np.array([[b"rm", b"-rf"]])

    codec = DepthCodec(file="hypersim_hdf5")
    for number, write in enumerate((external_link, external_storage, virtual, text)):
        path = tmp_path / f"{number}.hdf5"
        with h5py.File(path, "w") as file:
            write(file)
        with pytest.raises(AssetError, match="cannot be read"):
            decode_depth(codec, path.read_bytes(), path.name)
    with pytest.raises(AssetError, match="no HDF5 file"):
        decode_depth(codec, b"nothing of the kind", "broken.hdf5")
    assert decode_depth(codec, secret.read_bytes(), "plain").all()


def test_omnidata_style_folders_need_only_a_field_map(tmp_path: Path) -> None:
    root = tmp_path / "omnidata"
    depth = np.full(SIZE_WH[::-1], 1024, np.uint16)
    depth[0] = 65535
    stem = "replica/room/point_0_view_0_domain_"
    put(root / "rgb" / f"{stem}rgb.png", encode(picture("view")))
    put(root / "depth_zbuffer" / f"{stem}depth_zbuffer.png", encode(depth))
    codec = {"kind": "depth", "units_per_m": 512, "far_m": 20}
    fields = {
        "source": "rgb/{id}_domain_rgb.png",
        "target": {"paths": "depth_zbuffer/{id}_domain_depth_zbuffer.png", "codec": codec},
    }
    splits = {"kind": "all", "split": "train"}
    report = imported(root, tmp_path / "out", {"kind": "folders", "fields": fields}, splits=splits)
    _, pair = all_pairs(tmp_path / "out", report)["replica/room/point_0_view_0"]
    assert pair.depth[5, 5] == 2
    assert not pair.valid[0].any()
    assert pair.valid[1:].all()
