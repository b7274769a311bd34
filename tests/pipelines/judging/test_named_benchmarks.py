"""`pairbridge benchmark`: made folders in the published layouts, figures by other libraries and by hand."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.metrics import structural_similarity
from typer.testing import CliRunner

from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.core.errors import AssetError, ConfigError, PairbridgeError
from pairbridge.pipelines.cli import app
from pairbridge.pipelines.inference.translation import open_model
from pairbridge.pipelines.judging.benchmark_cases import find_cases, read_case
from pairbridge.pipelines.judging.benchmark_run import Judging, run_benchmark
from pairbridge.pipelines.judging.named_benchmarks import BENCHMARKS
from tests.pipelines.inference.translating_models import write_model
from tests.support.tiny_dinov2 import write_tiny_dinov2


def picture(seed: int, width: int = 48, height: int = 32) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def save(path: Path, image: np.ndarray) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image if image.ndim == 2 else image[..., ::-1])
    return image


def save_array(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def judged(name: str, root: Path, out: Path, **outputs: Path) -> dict:
    return run_benchmark(name, root, None, Judging(outputs=outputs), out)


def block(width: int = 48, height: int = 32) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[8:20, 10:30] = 255
    return mask


def test_every_benchmark_has_a_protocol_and_names_that_its_source_gives() -> None:
    for name, benchmark in BENCHMARKS.items():
        source = benchmark.fields["source"].paths[0]
        assert benchmark.protocol, name
        assert f"{{{benchmark.scenes}}}" in source, name
        assert {"source", "target"} <= set(benchmark.fields), name


@pytest.mark.parametrize(("name", "grown"), [("rord-fine", False), ("rord-coarse", True)])
def test_rord_removes_what_is_black_and_leaves_clean_plates_out(
    name: str, grown: bool, tmp_path: Path
) -> None:
    root = tmp_path / "RORD"
    ellipse = np.full((32, 48), 255, np.uint8)
    cv2.ellipse(ellipse, (20, 14), (9, 6), 0, 0, 360, 0, -1)
    truth = {}
    for number, mask in enumerate((ellipse, ellipse, np.full_like(ellipse, 255))):
        save(root / f"val/img/video_{number}.png", picture(number))
        truth[number] = save(root / f"val/gt/video_{number}.png", picture(number + 10))
        save(root / f"val/mask/video_{number}.png", mask)
    theirs = tmp_path / "lama"
    for number in range(3):
        save(theirs / f"video_{number}.png", np.clip(truth[number].astype(int) + 8, 0, 255).astype(np.uint8))
    result = judged(name, root, tmp_path / "out", lama=theirs)
    assert (result["cases"], result["left_out"]) == (2, 1)
    hole = ellipse == 0
    if grown:
        rows, columns = np.where(hole)
        hole[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    errors, similar = [], []
    for number in range(2):
        output = np.clip(truth[number].astype(int) + 8, 0, 255)
        errors.append(np.square(output - truth[number])[hole].mean())
        similar.append(
            structural_similarity(
                truth[number],
                output.astype(np.uint8),
                channel_axis=2,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
        )
    figures = result["rows"][""]["lama"]
    assert figures["foreground_mse"]["mean"] == pytest.approx(np.mean(errors))
    assert figures["ssim"]["mean"] == pytest.approx(np.mean(similar))
    assert set(result["rows"][""]) == {"lama", "source", "inpaint", "smooth fill"}
    # A shift of all levels has the target's contrast (but for what is clipped).
    assert figures["contrast"]["median"] == pytest.approx(1, abs=0.03)
    assert figures["contrast"]["pairs"] == 2
    assert result["rows"][""]["smooth fill"]["contrast"]["median"] < 0.9


def test_removal_has_a_column_that_needs_no_target(tmp_path: Path) -> None:
    root = tmp_path / "RORD"
    removed = np.where(block() == 0, 255, 0).astype(np.uint8)
    wall = np.random.default_rng(0).integers(110, 130, (32, 48, 3), dtype=np.uint8)
    there = np.where(block()[..., None] > 0, np.array([240, 30, 20], np.uint8), wall)
    save(root / "img/a.png", there)
    save(root / "gt/a.png", wall)
    save(root / "mask/a.png", removed)
    weights = write_tiny_dinov2(tmp_path / "dinov2")
    judging = Judging(outputs={"truth": root / "gt"}, dinov2=weights)
    rows = run_benchmark("rord-fine", root, None, judging, tmp_path / "out")["rows"][""]
    figures = {name: of["context_deviation"]["mean"] for name, of in rows.items()}
    assert figures["truth"] < 0.5 * figures["source"]
    assert "context_deviation" in (tmp_path / "out/benchmark.csv").read_text().splitlines()[0]


def test_iharmony4_takes_its_list_and_gives_each_part_a_row(tmp_path: Path) -> None:
    root = tmp_path / "iHarmony4"
    for part, photo in (("HCOCO", "c12"), ("HFlickr", "f7")):
        save(root / part / f"real_images/{photo}.jpg", picture(1, 300, 260))
        save(root / part / f"masks/{photo}_3.png", block(300, 260))
        for look in (1, 2):
            save(root / part / f"composite_images/{photo}_3_{look}.jpg", picture(look + 4, 300, 260))
    (root / "IHD_test.txt").write_text(
        "HCOCO/composite_images/c12_3_1.jpg\nHFlickr/composite_images/f7_3_2.jpg\n"
    )
    result = judged("iharmony4", root, tmp_path / "out", ours=root)
    assert result["cases"] == 2
    assert set(result["rows"]) == {"", "HCOCO", "HFlickr"}
    composite, real = (
        cv2.resize(cv2.imread(str(root / "HCOCO" / name)), (256, 256), interpolation=cv2.INTER_AREA).astype(
            float
        )
        for name in ("composite_images/c12_3_1.jpg", "real_images/c12.jpg")
    )
    mse = np.square(composite - real).mean()
    # `ours` is given the composites themselves: the untouched source.
    for method in ("source", "ours"):
        assert result["rows"]["HCOCO"][method]["mse"]["mean"] == pytest.approx(mse, rel=1e-3)
    assert result["rows"]["HCOCO"]["source"]["psnr"]["mean"] == pytest.approx(
        10 * np.log10(255**2 / mse), rel=1e-3
    )


def test_desobav2_has_global_and_local_errors(tmp_path: Path) -> None:
    root, side = tmp_path / "DESOBAv2", 256
    shadow = np.zeros((side, side), np.uint8)
    shadow[180:230, 40:120] = 255
    flat = np.full((side, side, 3), 200, np.uint8)
    dark = np.where(shadow[..., None] > 0, np.uint8(120), flat)
    for folder, image in (("shadowfree_imgs", flat), ("shadow_imgs", dark), ("shadow_masks", shadow)):
        save(root / folder / "a.png", image)
    save(root / "object_masks/a.png", block(side, side))
    (root / "test.txt").write_text("a.png\n")
    figures = judged("desobav2", root, tmp_path / "out", truth=root / "shadow_imgs")["rows"][""]
    share = (shadow > 0).mean()
    assert figures["source"]["local_rmse"]["mean"] == pytest.approx(80)
    assert figures["source"]["rmse"]["mean"] == pytest.approx(80 * np.sqrt(share))
    assert figures["truth"]["rmse"]["mean"] == 0
    assert figures["truth"]["local_ssim"]["mean"] == pytest.approx(1)


def write_depth(name: str, root: Path, depth: np.ndarray) -> None:
    """One case of a depth benchmark, its truth in metres."""
    height, width = depth.shape
    seen = picture(3, width, height)
    if name == "nyuv2":
        save(root / "test/kitchen_0004/rgb_0001.png", seen)
        save(root / "test/kitchen_0004/depth_0001.png", np.rint(depth * 1000).astype(np.uint16))
    elif name == "kitti":
        drive = "2011_09_26_drive_0002_sync"
        save(root / f"2011_09_26/{drive}/image_02/data/0000000069.png", seen)
        save(
            root / f"{drive}/proj_depth/groundtruth/image_02/0000000069.png",
            np.rint(depth * 256).astype(np.uint16),
        )
    elif name == "scannet":
        save(root / "scene0406_02/color/000300.jpg", seen)
        save(root / "scene0406_02/depth/000300.png", np.rint(depth * 1000).astype(np.uint16))
    elif name == "eth3d":
        save(root / "rgb/office/images/dslr_images/DSC_0219.JPG", seen)
        truth = root / "depth/office_dslr_depth/office/ground_truth_depth/dslr_images/DSC_0219.JPG"
        truth.parent.mkdir(parents=True)
        truth.write_bytes(np.where(depth > 0, depth, np.inf).astype("<f4").tobytes())
    elif name == "diode":
        stem = root / "indoors/scene_00021/scan_00189/00021_00189_indoors_200_010"
        save(stem.with_suffix(".png"), seen)
        save_array(stem.parent / f"{stem.name}_depth.npy", depth[..., None].astype(np.float32))
        save_array(stem.parent / f"{stem.name}_depth_mask.npy", (depth > 0).astype(np.float32))


@pytest.mark.parametrize(
    ("name", "size_WH", "region"),
    [
        ("nyuv2", (640, 480), (slice(45, 471), slice(41, 601))),
        # Of 352 x 1216 in the lower middle: rows 117 to 320, columns 43 to 1171.
        ("kitti", (1242, 375), (slice(23 + 117, 23 + 321), slice(13 + 43, 13 + 1172))),
        ("eth3d", (60, 40), (slice(None), slice(None))),
        ("scannet", (64, 48), (slice(None), slice(None))),
        ("diode", (64, 48), (slice(None), slice(None))),
    ],
)
def test_depth_counts_where_the_benchmark_says(
    name: str, size_WH: tuple[int, int], region: tuple[slice, slice], tmp_path: Path
) -> None:
    width, height = size_WH
    depth = np.linspace(1, 5, width * height, dtype=np.float32).reshape(height, width)
    depth[::7] = 0
    root = tmp_path / name
    write_depth(name, root, depth)
    benchmark = BENCHMARKS[name]
    (found,) = find_cases(benchmark, root)
    case = read_case(benchmark, found)
    inside = np.zeros((height, width), bool)
    inside[region] = True
    expected = inside & (depth > 0)
    assert case.counts.sum() == expected.sum()
    assert case.target[case.counts] == pytest.approx(depth[expected], abs=0.003)
    # Another scale and shift are no error; what is far off is.
    theirs = tmp_path / "theirs"
    save_array(theirs / f"{found.id}.npy", 0.25 * case.target + 3)
    figures = judged(name, root, tmp_path / "out", theirs=theirs)["rows"][""]
    assert figures["theirs"]["abs_rel"]["mean"] == pytest.approx(0, abs=1e-4)
    flat = np.abs(case.target[case.counts] - case.target[case.counts].mean()) / case.target[case.counts]
    assert figures["one distance"]["abs_rel"]["mean"] == pytest.approx(flat.mean(), rel=1e-4)


@pytest.mark.parametrize("name", ["nyuv2-normals", "scannet-normals", "ibims-normals", "sintel-normals"])
def test_normals_point_out_of_the_surface_and_to_the_camera(name: str, tmp_path: Path) -> None:
    """A wall that faces the camera is (0, 0, 1) in the file and here; one that faces right is (-1, 0, 0)."""
    outward = np.zeros((32, 48, 3), np.float32)
    outward[:, :16] = [0, 0, 1]
    outward[:, 16:32] = [-1, 0, 0]
    stem = {
        "nyuv2-normals": "test/000000",
        "scannet-normals": "scene0001_01/001170",
        "ibims-normals": "ibims/corridor_01",
        "sintel-normals": "alley_1/frame_0001",
    }[name]
    root = tmp_path / name
    save(root / f"{stem}_img.png", picture(2))
    if name.startswith(("ibims", "sintel")):
        write_exr(root / f"{stem}_normal.exr", outward)
    else:
        levels = np.rint((outward + 1) * 127.5).astype(np.uint8)
        levels[:, 32:] = 0
        save(root / f"{stem}_normal.png", levels)
    (found,) = find_cases(BENCHMARKS[name], root)
    case = read_case(BENCHMARKS[name], found)
    assert case.counts[:, :32].all()
    assert not case.counts[:, 32:].any()
    assert case.target[0, 0] == pytest.approx([0, 0, 1], abs=0.01)
    assert case.target[0, 20] == pytest.approx([1, 0, 0], abs=0.01)
    figures = judged(name, root, tmp_path / "out", truth=_normals(tmp_path / "truth", found.id, case.target))
    assert figures["rows"][""]["truth"]["within_5"]["mean"] == 1
    assert figures["rows"][""]["facing the camera"]["mean_angle"]["mean"] == pytest.approx(45, abs=0.5)


def _normals(folder: Path, case: str, normals: np.ndarray) -> Path:
    save_array(folder / f"{case}.npy", normals)
    return folder


def test_a_model_is_judged_beside_a_folder_of_its_own_outputs(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model" / "train" / "checkpoints", conditions=())
    root = tmp_path / "RORD"
    for number in range(2):
        save(root / f"img/v{number}_1.png", picture(number))
        save(root / f"gt/v{number}_1.png", picture(number + 10))
        save(root / f"mask/v{number}_1.png", 255 - block())
    arguments = ["benchmark", "rord-fine", str(root), "--model", str(model), "--out", str(tmp_path / "out")]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    result = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    figures = result["rows"][""]["model"]
    assert f"{figures['psnr']['mean']:.2f}" in shown.output
    assert "fMSE" in shown.output
    # Resized for the model and back, it is another output of the same size.
    opened = open_model(model)
    small = run_benchmark("rord-fine", root, opened, Judging(outputs={}, longest_side=24), tmp_path / "small")
    assert small["rows"][""]["model"]["psnr"]["mean"] != figures["psnr"]["mean"]


def refused(
    error: type[PairbridgeError], *, name: str = "rord-fine", root: Path, match: str, **outputs: Path
) -> None:
    with pytest.raises(error, match=match):
        judged(name, root, root / "out", **outputs)


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    refused(ConfigError, root=tmp_path, match="lacks every case of RORD", x=tmp_path)
    for number in range(2):
        save(tmp_path / f"img/{number}.png", picture(number))
        save(tmp_path / f"gt/{number}.png", picture(number))
        save(tmp_path / f"mask/{number}.png", 255 - block())
    refused(ConfigError, root=tmp_path, match="nothing is to be judged")
    refused(ConfigError, root=tmp_path, match="lacks 2 of 2 outputs of lama", lama=tmp_path / "lama")
    refused(ConfigError, root=tmp_path, match="the name inpaint", inpaint=tmp_path / "gt")
    save(tmp_path / "gt/1.png", picture(1, 40, 32))
    refused(AssetError, root=tmp_path, match="40x32 pixels, and the source 48x32", truth=tmp_path / "gt")
    (tmp_path / "img/1.png").write_bytes(b"no picture")
    refused(AssetError, root=tmp_path, match="img/1.png", truth=tmp_path / "gt")


def test_a_list_that_names_what_is_not_there_is_refused_and_a_shorter_one_is_taken(tmp_path: Path) -> None:
    depth = np.full((48, 64), 2, np.float32)
    write_depth("scannet", tmp_path, depth)
    listed = tmp_path / "scannet_val_sampled_list_800_1.txt"
    listed.write_text("scene0406_02/color/000300.jpg x\nscene0088_02/color/001100.jpg x\n")
    refused(ConfigError, name="scannet", root=tmp_path, match="lacks 1 of 2 cases", x=tmp_path)
    shorter = tmp_path / "mine.txt"
    shorter.write_text("scene0406_02/color/000300.jpg\n")
    assert len(find_cases(BENCHMARKS["scannet"], tmp_path, shorter)) == 1
