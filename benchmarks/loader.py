"""How fast do pairs come in? This project's loader beside plain webdataset, and from cached latents.

    python -m benchmarks.loader [--pairs 96] [--rounds 5] [--workers 0 1 2] [--out docs/benchmarks]

Makes a dataset of 512x512 pairs out of crops of the photographs that come with scikit-image, and the latents
of an AutoencoderKL of random weights that shrinks sides by eight. Both loaders of pixels read the same
shards, decode fields with the same function, and end in the same float32 batches; all take turns, round by
round, so that whatever else the machine does meets them alike. Writes `loader.json` and `loader.md`.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import skimage
import torch
import webdataset as wds
from diffusers import AutoencoderKL

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.shards.sample import Pair as Fields
from pairbridge.datagen.shards.sample import decode_field
from pairbridge.pipelines.inference.encoding import encode_dataset
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.data.latent_cache import CachedWith
from pairbridge.training.data.loader import MixedLoader
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.role_choice import RoleChoice
from pairbridge.training.data.tensors import network_images
from pairbridge.training.networks.autoencoders import build_autoencoder
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

SIZE = 512
BATCH = 8
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee")
# What is asked: as fast as the plain pipeline, and twenty times that from latents.
WANTED = {"decoded_over_plain": 1.0, "latents_over_decoded": 20.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), arguments.pairs, arguments.rounds, arguments.workers)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "loader.json").write_text(json.dumps(result, indent=1) + "\n")
    page = markdown(result)
    (arguments.out / "loader.md").write_text(page)
    print(page)


def measure(root: Path, pairs: int, rounds: int, workers: list[int]) -> dict:
    write_pairs(root / "dataset", pairs)
    config = training_config(write_autoencoder(root / "autoencoder"))
    began = time.perf_counter()
    encode_dataset(config, root / "dataset", recipes=(), split="train", roles=RoleChoice())
    encode_s = time.perf_counter() - began
    autoencoder = build_autoencoder(config.autoencoder)
    cached = CachedWith(autoencoder.name, autoencoder.digest, with_pixels=False)
    rows = []
    for count in workers:
        loaders: dict[str, Callable[[], Iterator[dict]]] = {
            "plain": lambda count=count: plain(root / "dataset", count),
            "decoded": lambda count=count: floats(mixed(root, count, None).batches()),
            "latents": lambda count=count: mixed(root, count, cached).batches(),
        }
        speeds: dict[str, list[float]] = {name: [] for name in loaders}
        for _ in range(rounds):
            for name, start in loaders.items():
                # Latents come so fast that a short measurement would time little but the clock.
                speeds[name].append(pairs_per_s(start(), 10 * pairs if name == "latents" else pairs))
        rows.append({"workers": count, **{name: statistics.median(found) for name, found in speeds.items()}})
        rows[-1]["decoded_over_plain"] = statistics.median(
            ours / plain_ for ours, plain_ in zip(speeds["decoded"], speeds["plain"], strict=True)
        )
        rows[-1]["latents_over_decoded"] = statistics.median(
            latents / ours for latents, ours in zip(speeds["latents"], speeds["decoded"], strict=True)
        )
    return {
        "size": SIZE,
        "batch": BATCH,
        "pairs": pairs,
        "rounds": rounds,
        "encode_s": encode_s,
        "rows": rows,
    }


def pairs_per_s(batches: Iterator[dict], pairs: int) -> float:
    """Over `pairs` pairs after the first two batches, which start the workers."""
    for _ in range(2):
        next(batches)
    began = time.perf_counter()
    taken = sum(1 for _ in islice(batches, pairs // BATCH))
    return taken * BATCH / (time.perf_counter() - began)


def plain(dataset: Path, workers: int) -> Iterator[dict]:
    """What one would write with webdataset: shards in order, for ever, fields decoded, batches of tensors."""
    shards = [str(path) for path in sorted((dataset / "shards").glob("train-*.tar"))]
    # Workers take whole shards; resampled, every worker has some and the stream has no end.
    data = wds.WebDataset(shards, resampled=True, shardshuffle=False, empty_check=False)
    data = data.map(decode_sample).batched(BATCH, collation_fn=collate_plain, partial=False)
    return iter(wds.WebLoader(data, batch_size=None, num_workers=workers))


def decode_sample(sample: dict) -> dict:
    # The key and provenance come along, as they do in this project's batches.
    fields = ("source.png", "target.png", "mask.png", "meta.json")
    return {"key": sample["__key__"], **{name: decode_field(name, sample[name]) for name in fields}}


def collate_plain(samples: list[dict]) -> dict:
    return {
        "keys": [sample["key"] for sample in samples],
        **{name: unit_images(samples, f"{name}.png") for name in ("source", "target")},
        "mask": torch.from_numpy(np.stack([sample["mask.png"] for sample in samples]))[:, None] / 255,
    }


def unit_images(samples: list[dict], field: str) -> torch.Tensor:
    images_BHWC = torch.from_numpy(np.stack([sample[field] for sample in samples]))
    return (images_BHWC.permute(0, 3, 1, 2) / 127.5 - 1).contiguous()


def mixed(root: Path, workers: int, cached: CachedWith | None) -> MixedLoader:
    mix = MixConfig.model_validate(
        {"sources": [{"name": "pairs", "path": "run:dataset", "recipe": "relighting"}]}
    )
    return MixedLoader(
        mix,
        run_root=root,
        buckets=BucketSequence.single(size=SIZE, batch_size=BATCH),
        workers=workers,
        conditions=(ConditionConfig(field="mask"),),
        cached=cached,
    )


def floats(batches: Iterator[dict]) -> Iterator[dict]:
    """With the pictures as a step computes with them, which on the CPU the training's own process makes."""
    for batch in batches:
        yield network_images({name: own for name, own in batch.items() if isinstance(own, torch.Tensor)})


def write_pairs(folder: Path, pairs: int) -> None:
    """A finished dataset of 512x512 pairs in shards of 16."""
    data = Path(skimage.__file__).parent / "data"
    photographs = [cv2.imread(str(data / f"{name}.png")) for name in PHOTOGRAPHS]
    draws = rng(0, "crops")

    def fill(pair: Fields) -> None:
        for name in ("source.png", "target.png"):
            photograph = photographs[int(draws.integers(len(photographs)))]
            side = int(draws.integers(200, min(photograph.shape[:2])))
            y, x = (int(draws.integers(length - side + 1)) for length in photograph.shape[:2])
            pair[name] = cv2.resize(photograph[y : y + side, x : x + side], (SIZE, SIZE))
        yy, xx = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
        distance = np.hypot(xx, yy) / draws.uniform(0.2, 0.45)
        pair["mask.png"] = (np.clip(8 * (1 - distance), 0, 1) * 255).astype(np.uint8)

    recipe = TinyRecipe(groups={"train": pairs}, pairs_per_group=1, size_WH=(SIZE, SIZE))
    TinyDataset(recipes={"relighting": recipe}, groups_per_shard=16, edit=fill).write(folder)


def write_autoencoder(folder: Path) -> Path:
    """Of the SDXL autoencoder's form (eight pixels to a latent, four channels), narrow, of random weights."""
    torch.manual_seed(0)
    AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        latent_channels=4,
        mid_block_add_attention=False,
    ).save_pretrained(folder)
    return folder


def training_config(autoencoder: Path) -> TrainingConfig:
    return TrainingConfig.model_validate(
        {
            "size": SIZE,
            "batch_size": BATCH,
            "autoencoder": {"kind": "folder", "path": autoencoder},
            "augment": {"flip": 0},
            "latents": "cached",
            "threads": 1,
        }
    )


def markdown(result: dict) -> str:
    size, batch = result["size"], result["batch"]
    lines = [
        "# Loader",
        "",
        f"Pairs of {size}x{size} pixels a second, in batches of {batch}: source, target and mask as PNG,",
        f"decoded to float32 tensors. Medians of {result['rounds']} rounds in which the loaders took turns;",
        "ratios round by round. Written by",
        "`benchmarks/loader.py`; latents by an AutoencoderKL of random weights with a factor of eight.",
        "",
        "| processes | plain webdataset | this loader | cached latents | this / plain | latents / this |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        lines.append(
            f"| {row['workers']} | {row['plain']:.0f} | {row['decoded']:.0f} | {row['latents']:.0f} |"
            f" {row['decoded_over_plain']:.2f} | {row['latents_over_decoded']:.1f} |"
        )
    best = {name: max(row[name] for row in result["rows"]) for name in WANTED}
    lines += ["", "Asked:", ""]
    lines += [
        f"- {name.replace('_', ' ')} at least {wanted:g}: {min(row[name] for row in result['rows']):.2f} to"
        f" {best[name]:.2f}"
        for name, wanted in WANTED.items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
