"""How well does a relighting bridge take the colours of a reference, and what does each part of AGG do?

    python -m benchmarks.asymmetric_guidance RUN [--pairs 16] [--dino FOLDER] [--out docs/benchmarks]
        [--images docs/images]

RUN: the folder of a finished relighting run, such as runs/relighting-small. Test pairs that training never
saw; the reference is the foreground of another pair, whose object is another. Per variant: the colour loss
left of the unguided one, and how far the foreground's lightness still follows the unguided one's (correlation
over the mask; 1 is the same picture in other colours), and how much fine detail it has, as a multiple of the
unguided one's (mean size of the lightness's Laplacian inside the mask): far above 1 is grain. Beside them
colour transfer, which matches mean and spread in one step and knows nothing of images. With a folder of
DINO's published weights one more row, the paper's ViT loss beside the colours: with random weights it would
mean nothing. Writes `asymmetric_guidance.json`, `.md` and a picture.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from pairbridge.datagen.imaging.colour import rgb_to_lab, transfer_colour_statistics
from pairbridge.pipelines.inference.found_checkpoints import newest_checkpoint
from pairbridge.pipelines.pages.sheets import Item, Section, contact_sheet, write_png
from pairbridge.pipelines.reading.config_files import find_config, load_config
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.data.tensors import image_tensor, mask_tensor
from pairbridge.training.guidance.edit_losses import ColourStatisticsLoss, WeightedTerm
from pairbridge.training.guidance.edit_networks import DinoConfig, DinoLoss
from pairbridge.training.guidance.edit_scene import Region, Scene
from pairbridge.training.guidance.guidance_equations import GuidanceConfig
from pairbridge.training.guidance.guide_config import GuideConfig
from pairbridge.training.guidance.guided_images import edit_images
from pairbridge.training.guidance.guided_translation import translation_path

CPU = torch.device("cpu")
# Of the gradient step: much more of it overshoots, and this much lowers the loss by a half.
GRADIENT = 0.002
VARIANTS = {
    "as shipped": {},
    "symmetric": {"symmetric": True},
    "without structure": {"structure_weight": 0.0},
    "and gradient step": {"mcg_scale": GRADIENT},
    "gradient step alone": {"mcg_scale": GRADIENT, "inner_steps": 0},
}
VIT = "and ViT loss"
# Its weight in the paper's edits by an image.
VIT_WEIGHT = 200.0
# Test pairs that are shown.
SHOWN = 6


@dataclass(frozen=True, slots=True)
class Case:
    """uint8 images (H, W, 3) and masks (H, W) of one size."""

    source: np.ndarray
    mask: np.ndarray
    reference: np.ndarray
    reference_mask: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--dino", type=Path, help="Folder of a ViTModel or Dinov2Model.")
    parser.add_argument("--recipe", default="relighting")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    model = TranslationModel.load(newest_checkpoint(arguments.run))
    config = load_config(
        find_config("guidance", "foreground-colours"), GuideConfig, ["losses.0.reference=none.png"]
    )
    cases = held_out_cases(arguments.run / "dataset", arguments.recipe, arguments.pairs)
    edited = {
        name: [edit(model, case, config, changes) for case in cases] for name, changes in VARIANTS.items()
    }
    if arguments.dino:
        edited[VIT] = [edit(model, case, config, {}, arguments.dino) for case in cases]
    unguided = [edit(model, case, config, {"mcg_scale": 0.0, "inner_steps": 0}) for case in cases]
    transferred = [
        transfer_colour_statistics(plain, case.mask, case.reference, case.reference_mask)
        for case, plain in zip(cases, unguided, strict=True)
    ]
    rows = {
        name: {key: float(np.median(of)) for key, of in judge(cases, unguided, images).items()}
        for name, images in {**edited, "colour transfer of the output": transferred}.items()
    }
    _write(arguments.out, rows, config, len(cases))
    _draw(arguments.images / "asymmetric_guidance.png", cases, unguided, edited)


def held_out_cases(dataset: Path, recipe: str, count: int) -> list[Case]:
    """Every case's reference is of the pair half a list away: another object."""
    source = PairSource(dataset, recipe, "test")
    step = len(source) // count
    pairs = [source.pair(place * step) for place in range(count)]
    others = pairs[count // 2 :] + pairs[: count // 2]
    return [
        Case(pair.source, pair.mask, other.source, other.mask)
        for pair, other in zip(pairs, others, strict=True)
    ]


def edit(
    model: TranslationModel, case: Case, config: GuideConfig, changes: dict, dino: Path | None = None
) -> np.ndarray:
    weight = config.losses[0].weight
    guidance = GuidanceConfig.model_validate({**config.guidance.model_dump(), **changes})
    generator = [torch.Generator().manual_seed(0)]
    sources, masks = case.source[None], case.mask[None]
    path = translation_path(model, sources, masks, {}, steps=config.steps, generator=generator)
    chosen = config.model_copy(update={"guidance": guidance})
    terms = [WeightedTerm("colours", weight, _wanted(case))]
    if dino:
        vit = DinoLoss.load(DinoConfig(path=dino), image_tensor([case.reference]), CPU)
        terms.append(WeightedTerm("dino", VIT_WEIGHT, vit))
    return edit_images(path, sources, masks, terms, chosen, generator).images[0]


def _wanted(case: Case) -> ColourStatisticsLoss:
    reference, mask = image_tensor([case.reference]), mask_tensor(case.reference_mask[None])
    return ColourStatisticsLoss(Region.FOREGROUND, reference, mask)


def judge(cases: list[Case], unguided: list[np.ndarray], images: list[np.ndarray]) -> dict[str, list[float]]:
    """The figures of every case."""
    found: dict[str, list[float]] = {"loss_left": [], "follows": [], "detail": []}
    for case, plain, image in zip(cases, unguided, images, strict=True):
        found["loss_left"].append(_loss(case, image) / _loss(case, plain))
        inside = case.mask > 127
        lightness = [rgb_to_lab(one)[..., 0][inside] for one in (plain, image)]
        found["follows"].append(float(np.corrcoef(*lightness)[0, 1]))
        found["detail"].append(_detail(image, inside) / _detail(plain, inside))
    return found


def _detail(image: np.ndarray, inside: np.ndarray) -> float:
    """Mean size of the lightness's Laplacian, away from the mask's edge."""
    core = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return float(np.abs(cv2.Laplacian(rgb_to_lab(image)[..., 0], cv2.CV_32F))[core].mean())


def _loss(case: Case, image: np.ndarray) -> float:
    shown = image_tensor([image])
    return float(_wanted(case)(shown, Scene(shown, shown, mask_tensor(case.mask[None]))))


def _write(out: Path, rows: dict[str, dict[str, float]], config: GuideConfig, count: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    record = {"pairs": count, "guidance": config.guidance.model_dump(mode="json"), "rows": rows}
    (out / "asymmetric_guidance.json").write_text(json.dumps(record, indent=2) + "\n")
    lines = [
        "# Asymmetric gradient guidance",
        "",
        f"{count} test pairs, references of other objects; medians. `benchmarks/asymmetric_guidance.py`",
        "",
        "| variant | colour loss left | lightness follows the unguided output | fine detail |",
        "|---|---|---|---|",
        *(
            f"| {name} | {row['loss_left']:.3f} | {row['follows']:.3f} | {row['detail']:.2f} |"
            for name, row in rows.items()
        ),
    ]
    (out / "asymmetric_guidance.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def _draw(
    path: Path, cases: list[Case], unguided: list[np.ndarray], edited: dict[str, list[np.ndarray]]
) -> None:
    step = max(len(cases) // SHOWN, 1)
    items = tuple(
        Item(
            "", (case.reference, case.source, unguided[place], *(images[place] for images in edited.values()))
        )
        for place, case in list(enumerate(cases))[::step][:SHOWN]
    )
    headings = ("reference", "source", "unguided", *edited)
    write_png(path, contact_sheet([Section("", headings, items)], tile=144, width=80 + 150 * len(headings)))


if __name__ == "__main__":
    main()
