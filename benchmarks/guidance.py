"""What does guidance buy, and what does it cost? Strength against quality and diversity, on drawn shapes.

    python -m benchmarks.guidance [--runs runs] [--steps 1200] [--out docs/benchmarks] [--images docs/images]

Makes the dataset `shapes`, trains the flow of the training `shapes` on it (both resumable), and samples every
class at rising strengths: classifier-free, by what the flow learned with and without its class; and by a
classifier of the noisy latents, trained here, on the flow without its class. A judge, a small network trained
on the images themselves, says how many samples are of the class that was asked for, and gives the features of
the Fréchet distance to held-out images. Diversity is the mean distance of two samples of a class, as a share
of that of held-out images. Writes `guidance.json`, `guidance.md` and the picture `guidance.png`.
"""

import argparse
import json
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pairbridge.datagen.core.seeds import seed31
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.inference.sampling import tiled
from pairbridge.pipelines.pages.sheets import write_png
from pairbridge.pipelines.reading.config_files import find_config, load_config
from pairbridge.training.bridge.bridges import BrownianBridge
from pairbridge.training.bridge.equations import interpolate
from pairbridge.training.bridge.flow import classifier_free, classifier_guided, from_noise
from pairbridge.training.bridge.sample_loop import sample
from pairbridge.training.bridge.samplers import HeunSampler
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.perceptual.frechet import FeatureMoments, frechet_distance

NAME = "shapes"
PER_CLASS = 30
SAMPLING_STEPS = 10
CLASSIFIER_FREE = (0.0, 1.0, 2.0, 3.0, 5.0)
BY_CLASSIFIER = (1.0, 4.0)
# In the picture.
SHOWN, SHOWN_STRENGTHS = 8, (0.0, 1.0, 2.0, 5.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--steps", type=int, default=None, help="Of the training, in place of the config's.")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    root = (arguments.runs / NAME).absolute()
    config = load_config(find_config("training", NAME), TrainingConfig)
    config = config.model_copy(update={"steps": arguments.steps or config.steps})
    generate(
        load_config(find_config("datasets", NAME), DatasetConfig),
        root / "dataset",
        workers=os.cpu_count() or 1,
    )
    mix = load_config(find_config("mixes", NAME), MixConfig)
    flow = TranslationModel.load(train(config, mix, root / "train", run_root=root).checkpoint)
    result, pictures = measure(flow, root / "dataset")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    result |= {"train_steps": config.steps, "processor_s": round(usage.ru_utime + usage.ru_stime)}
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "guidance.json").write_text(json.dumps(result, indent=1) + "\n")
    page = markdown(result)
    (arguments.out / "guidance.md").write_text(page)
    write_png(arguments.images / "guidance.png", picture(result["classes"], pictures))
    print(page)


def measure(flow: TranslationModel, dataset: Path) -> tuple[dict[str, Any], dict[float, list[np.ndarray]]]:
    """The figures, and by strength the samples of each class, to draw."""
    (condition,) = flow.config.denoiser.conditions
    drawn, labels = images_of(dataset, "train", condition)
    held_out, held_out_labels = images_of(dataset, "test", condition)
    judge = fitted(Judge(len(condition.classes)), drawn, labels, as_images, steps=400)
    noisy = fitted(
        NoisyClassifier(flow.autoencoder.channels, len(condition.classes)),
        drawn,
        labels,
        lambda images, generator: on_the_path(flow, images, generator),
        steps=600,
    )
    count = PER_CLASS * len(condition.classes)

    def judged(images: np.ndarray, asked: np.ndarray, what: str, strength: float | None) -> dict[str, Any]:
        features, found = judge_images(judge, images)
        return {
            "what": what,
            "strength": strength,
            "recognised": float((found == asked).mean()),
            "frechet": frechet_distance(moments(features), moments(judge_images(judge, held_out)[0])),
            "diversity": diversity(images, asked) / diversity(held_out, held_out_labels),
        }

    some = np.random.default_rng(0).permutation(len(drawn))[:count]
    rows = [judged(drawn[some], labels[some], "training images", None)]
    asked = np.repeat(np.arange(len(condition.classes)), PER_CLASS)
    pictures: dict[float, list[np.ndarray]] = {}
    for strength in CLASSIFIER_FREE:
        images = samples(flow, asked, lambda seen, s=strength: classifier_free(*fields(flow, seen), s))
        rows.append(judged(images, asked, "classifier-free", strength))
        pictures[strength] = [
            tiled_row(images[place * PER_CLASS :][:SHOWN]) for place in range(len(condition.classes))
        ]
    for strength in BY_CLASSIFIER:
        images = samples(flow, asked, lambda seen, s=strength: by_classifier(flow, noisy, seen, s))
        rows.append(judged(images, asked, "by a classifier", strength))
    evaluations = 2 * SAMPLING_STEPS - 1
    return {
        "classes": list(condition.classes),
        "samples": count,
        "held_out": len(held_out),
        "judge_accuracy": float((judge_images(judge, held_out)[1] == held_out_labels).mean()),
        "evaluations": evaluations,
        "rows": rows,
    }, pictures


def fields(flow: TranslationModel, seen: dict[str, Tensor]) -> tuple[Callable, Callable]:
    """The field under its class, and without."""
    without = {name: torch.zeros_like(planes) for name, planes in seen.items()}
    return lambda x, t: flow.denoiser(x, t, seen), lambda x, t: flow.denoiser(x, t, without)


def by_classifier(
    flow: TranslationModel, noisy: "NoisyClassifier", seen: dict[str, Tensor], strength: float
) -> Callable:
    """The field without a class, bent towards it."""
    (planes,) = seen.values()
    wanted = planes[:, :, 0, 0].argmax(dim=1)

    def log_probability(x: Tensor, t: Tensor) -> Tensor:
        return torch.log_softmax(noisy(x, t), dim=1).gather(1, wanted[:, None])[:, 0]

    return classifier_guided(fields(flow, seen)[1], log_probability, strength, from_noise)


def samples(flow: TranslationModel, asked: np.ndarray, guided: Callable) -> np.ndarray:
    """uint8 images, one for each class of `asked`; the same noise whatever guides."""
    (condition,) = flow.config.denoiser.conditions
    side = flow.config.size // flow.autoencoder.factor
    generator = torch.Generator().manual_seed(seed31(0, "guidance"))
    planes = F.one_hot(torch.from_numpy(asked), len(condition.classes)).float()
    sampler = HeunSampler()
    latents = sample(
        sampler,
        guided({condition.field: planes[:, :, None, None].expand(-1, -1, side, side)}),
        torch.randn(len(asked), flow.autoencoder.channels, side, side, generator=generator),
        sampler.times(SAMPLING_STEPS),
        bridge=BrownianBridge(sigma=0),
        generator=generator,
    )
    decoded = flow.autoencoder.decode(latents).clamp(-1, 1).permute(0, 2, 3, 1).numpy()
    return np.rint((decoded + 1) * 127.5).astype(np.uint8)


class Judge(nn.Module):
    """Classes of images; `features` are what the last layer sees."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.SiLU()),
            *(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.SiLU()),
            *(nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.SiLU()),
            *(nn.Flatten(), nn.Linear(64 * 16, 32), nn.SiLU()),
        )
        self.last = nn.Linear(32, classes)

    def forward(self, images: Tensor, t: Tensor) -> Tensor:
        return self.last(self.features(images))


class NoisyClassifier(nn.Module):
    """Classes of points x_t of the flow's path, (B, channels, 8, 8)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(channels + 1, 64, 3, padding=1), nn.SiLU()),
            *(nn.Conv2d(64, 64, 3, stride=2, padding=1), nn.SiLU()),
            *(nn.Conv2d(64, 64, 3, padding=1), nn.SiLU()),
            *(nn.Flatten(), nn.Linear(64 * 16, classes)),
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        time = t[:, None, None, None].expand(-1, 1, *x.shape[-2:])
        return self.layers(torch.cat([x, time], dim=1))


def fitted(
    network: nn.Module, images: np.ndarray, labels: np.ndarray, inputs: Callable, *, steps: int
) -> nn.Module:
    """The network after `steps` of Adam on cross entropy; `inputs(images, generator)` are its arguments."""
    generator = torch.Generator().manual_seed(seed31(0, type(network).__name__))
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1:
                nn.init.kaiming_normal_(weight, generator=generator)
            else:
                weight.zero_()
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        rows = torch.randint(len(images), (64,), generator=generator)
        # Mirrored or not, a shape is of its class.
        flipped = images[rows.numpy()][:, :, :: 1 if torch.rand(1, generator=generator) < 0.5 else -1]
        wanted = torch.from_numpy(labels[rows.numpy()])
        loss = F.cross_entropy(network(*inputs(to_unit(flipped), generator)), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()
    return network.eval().requires_grad_(False)


def as_images(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return images, torch.ones(len(images))


def on_the_path(flow: TranslationModel, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x1 = flow.autoencoder.encode(images)
    t = flow.config.timesteps.sample(len(images), generator)
    x0 = torch.randn(x1.shape, generator=generator)
    return interpolate(x0, x1, t, torch.zeros_like(x0), 0.0), t


def images_of(dataset: Path, split: str, condition: ConditionConfig) -> tuple[np.ndarray, np.ndarray]:
    """All target images of a split, uint8, and their classes."""
    pairs = PairSource(dataset, NAME, split, conditions=(condition,))
    read = [pairs.pair(index) for index in range(len(pairs))]
    labels = [pair.conditions[condition.field].item() for pair in read]
    return np.stack([pair.target for pair in read]), np.array(labels)


def to_unit(images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def judge_images(judge: Judge, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features and classes."""
    features = judge.features(to_unit(images))
    return features.numpy(), judge.last(features).argmax(dim=1).numpy()


def moments(features: np.ndarray) -> FeatureMoments:
    found = FeatureMoments()
    found.add(features)
    return found


def diversity(images: np.ndarray, labels: np.ndarray) -> float:
    """Mean over classes of the mean root mean square difference of two images of the class."""
    means = []
    for label in np.unique(labels):
        flat = torch.from_numpy(images[labels == label].reshape((labels == label).sum(), -1)).float()
        means.append(float(torch.pdist(flat).mean()) / flat.shape[1] ** 0.5)
    return float(np.mean(means))


def markdown(result: dict[str, Any]) -> str:
    lines = [
        "# Guidance: strength against quality and diversity",
        "",
        f"{result['samples']} samples a row of the flow `{NAME}` ({result['train_steps']} steps), Heun,"
        f" {result['evaluations']} evaluations of each field; {len(result['classes'])} classes. The judge",
        f"knows {result['judge_accuracy']:.1%} of {result['held_out']} held-out images. Written by"
        f" `benchmarks/guidance.py`; {result['processor_s'] / 60:.1f} minutes of one core.",
        "",
        "| guided | strength | of the class asked for | Fréchet distance | diversity |",
        "|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        strength = "" if row["strength"] is None else f"{row['strength']:g}"
        lines.append(
            f"| {row['what']} | {strength} | {row['recognised']:.1%} | {row['frechet']:.2f} |"
            f" {row['diversity']:.2f} |"
        )
    lines += [
        "",
        "Strength 0 is the flow without its class, 1 the class as it was learned. The first row is the",
        "floor: as many training images. Lower Fréchet distances, in the judge's features, are better;",
        "diversity 1 is that of held-out images.",
        "",
        "![Samples by strength](../images/guidance.png)",
        "",
    ]
    return "\n".join(lines)


def tiled_row(images: np.ndarray) -> np.ndarray:
    return np.concatenate(list(images), axis=1)


def picture(classes: list[str], pictures: dict[float, list[np.ndarray]]) -> np.ndarray:
    """A block of samples per strength, a row per class, twice as large, with the strength written above."""
    blocks = []
    for strength in SHOWN_STRENGTHS:
        block = np.concatenate(pictures[strength], axis=0)
        large = cv2.resize(block, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
        title = np.full((28, large.shape[1], 3), 255, np.uint8)
        cv2.putText(
            title,
            f"guidance {strength:g}",
            (4, 20),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.55,
            (28, 25, 23),
            1,
            cv2.LINE_AA,
        )
        blocks.append(np.concatenate([title, large], axis=0))
    return tiled(blocks, gap=12)


if __name__ == "__main__":
    main()
