"""Small photographs of known content and two lightings, and what it takes to make pairs of them."""

from pathlib import Path

import cv2
import numpy as np

from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import DatasetPlan, make_plan
from pairbridge.datagen.recipes.photo_backgrounds import show_background
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.sourcing.sources import build_catalogue

SIZE = 96


def disc_photo(key: str) -> np.ndarray:
    """A speckled disc before a wall, each photograph in its own colours."""
    draw = rng(0, "photo", key)
    wall, disc = draw.uniform(90, 160, 3), draw.uniform(30, 230, 3)
    disc[draw.integers(3)] = 235
    truth = cv2.circle(np.zeros((120, 140), np.uint8), (70, 64), 34, 1, -1)[..., None]
    image = np.where(
        truth > 0, disc + draw.normal(0, 14, (120, 140, 3)), wall + draw.normal(0, 2, (120, 140, 3))
    )
    return np.clip(image, 0, 255).astype(np.uint8)


def write_photo_assets(root: Path) -> Path:
    """Photographs a, b, c (train) and lonely (test), a lighting for both; returns `root`."""
    (root / "photos").mkdir()
    (root / "hdris").mkdir()
    names = ["a", "b", "c", "lonely"]
    for name in names:
        cv2.imwrite(str(root / "photos" / f"{name}.png"), disc_photo(name)[..., ::-1])
    pins = {name: "train" for name in names} | {"lonely": "test"}
    lines = [
        f"{name}: {{split: {split}, licence: CC0-1.0, author: me, source: here}}"
        for name, split in pins.items()
    ]
    (root / "photos" / "catalogue.yaml").write_text("\n".join(lines))
    for name in ("light-train", "light-test"):
        light = rng(0, name).uniform(0.1, 2, (16, 32, 3)).astype(np.float32)
        write_exr(root / "hdris" / f"{name}.exr", cv2.GaussianBlur(light, (0, 0), 3))
    pins = "\n".join(f"light-{split}: {{split: {split}}}" for split in ("train", "test"))
    (root / "hdris" / "catalogue.yaml").write_text(pins)
    return root


def plan_of(assets: Path, photos: Path | None = None, seed: int = 1, **recipe: object) -> DatasetPlan:
    recipe = {"groups": {"train": 8}, "pairs_per_group": 2, "size_WH": [SIZE, SIZE], **recipe}
    config = DatasetConfig.model_validate(
        {
            "name": "p",
            "seed": seed,
            "assets": {
                "embedded": False,
                "photos": [photos or assets / "photos"],
                "hdris": [assets / "hdris"],
            },
            "recipes": {"r": recipe},
        }
    )
    return make_plan(config, build_catalogue(config.assets, None))


def workbench_of(plan: DatasetPlan, root: Path) -> Workbench:
    return Workbench(
        plan.config.workbench,
        plan.catalogue,
        scratch_dir=root / "scratch",
        threads=1,
        log_path=root / "log",
    )


def made(plan: DatasetPlan, root: Path, groups: list[int] | None = None) -> list:
    """The outcomes of some groups, flat, in the order given."""
    stream = plan.streams[0]
    with workbench_of(plan, root) as workbench:
        return [
            pair
            for group in (range(stream.num_groups) if groups is None else groups)
            for pair in plan.recipes["r"].make(plan.group(stream, group), workbench)
        ]


def behind_of(plan: DatasetPlan, params: dict, workbench: Workbench) -> np.ndarray:
    """The background that a sample's foreground was relit for, from the sample's parameters."""
    config = plan.recipes["r"].config
    return show_background(
        params["background"], config.size_WH, config.background, config.matting, workbench
    )[0]
