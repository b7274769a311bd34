"""A workbench's photographs and lightings; Blender is not needed for either."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.lighting.equirect import load_environment
from pairbridge.datagen.recipes import workbench as workbench_module
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.sourcing.sources import build_catalogue

IMAGE = np.random.default_rng(6).integers(0, 256, (40, 60, 3), np.uint8)


def open_studio(root: Path) -> Workbench:
    config = DatasetConfig.model_validate(
        {
            "name": "s",
            "assets": {"embedded": False, "photos": [root / "photos"], "hdris": [root / "hdris"]},
            "recipes": {"r": {"kind": "relighting_swap"}},
        }
    )
    catalogue = build_catalogue(config.assets, None)
    return Workbench(
        config.workbench,
        catalogue,
        scratch_dir=root / "scratch",
        threads=1,
        log_path=root / "blender.log",
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    (tmp_path / "hdris").mkdir()
    return tmp_path


def test_photographs_come_as_rgb_whatever_their_format(root: Path) -> None:
    Image.fromarray(IMAGE).save(root / "photos" / "png.png")
    Image.fromarray(IMAGE).save(root / "photos" / "webp.webp", lossless=True)
    Image.fromarray(IMAGE[..., 0]).save(root / "photos" / "grey.png")
    opaque = np.full((*IMAGE.shape[:2], 1), 255, np.uint8)
    Image.fromarray(np.dstack([IMAGE, opaque])).save(root / "photos" / "alpha.png")
    with open_studio(root) as workbench:
        for name in ("png", "webp", "alpha"):
            assert (workbench.photo(name) == IMAGE).all()
        assert (workbench.photo("grey") == IMAGE[..., :1]).all()


def test_a_photograph_is_turned_as_its_exif_says(root: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # rotate a quarter clockwise to view
    Image.fromarray(IMAGE).save(root / "photos" / "phone.png", exif=turned)
    with open_studio(root) as workbench:
        assert (workbench.photo("phone") == np.rot90(IMAGE, -1)).all()


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_a_broken_photograph_is_named(root: Path, content: bytes) -> None:
    path = root / "photos" / "broken.jpg"
    cv2.imwrite(str(path), IMAGE[::-1])
    with open_studio(root) as workbench:
        # Afterwards: what is broken before is in no catalogue.
        path.write_bytes(content)
        with pytest.raises(AssetError, match=r"broken\.jpg"):
            workbench.photo("broken")


def test_lightings_are_cached_within_bounds_and_copied_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(4):
        write_exr(root / "hdris" / f"h{index}.exr", np.full((256, 512, 3), index + 1, np.float32))
    one = load_environment(root / "hdris" / "h0.exr").num_bytes
    monkeypatch.setattr(workbench_module, "ENVIRONMENT_CACHE_BYTES", 2 * one)
    with open_studio(root) as workbench:
        first = workbench.environment("h0")
        workbench.environment("h1")
        assert workbench.environment("h0") is first
        workbench.environment("h2")
        assert workbench.environment("h0") is first
        workbench.environment("h3")
        workbench.environment("h1")
        assert workbench.environment("h0") is not first
        copy = workbench.lighting_copy("h3", 0.3)
        written = copy.stat().st_mtime_ns
        width = workbench.settings.render.lighting_copy_width
        assert load_environment(copy).pixels.shape == (width // 2, width, 3)
        assert workbench.lighting_copy("h3", 0.3) == copy
        assert copy.stat().st_mtime_ns == written
        # Every turn is a file of its own, and their number is bounded.
        for step in range(2 * workbench_module.LIGHTING_COPIES):
            assert workbench.lighting_copy("h3", 0.01 * step).exists()
        assert len(list(root.rglob("lighting-h3-*.exr"))) == workbench_module.LIGHTING_COPIES


def test_cv2_and_pillow_agree_on_what_the_studio_reads(root: Path) -> None:
    cv2.imwrite(str(root / "photos" / "jpeg.jpg"), IMAGE[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    with open_studio(root) as workbench:
        pillow = np.asarray(Image.open(root / "photos" / "jpeg.jpg"))
        assert np.abs(workbench.photo("jpeg").astype(int) - pillow).max() <= 3
