"""How fast do pairs come in? This project's loader beside those of others, and from cached latents.

    python -m benchmarks.loader [--pairs 96] [--rounds 5] [--workers 0 2] [--peers PYTHON]

Makes a dataset of 512x512 pairs out of crops of the photographs that come with scikit-image, and the latents
of an AutoencoderKL of random weights that shrinks sides by eight. All loaders of pixels read the same shards
and have to give the same float32 tensors, bit for bit, which is compared before anything is timed; those of
others are in `peer_loaders.py`. Each is in a process of its own and they take turns, round by round, so that
whatever else the machine does meets them alike. `--peers` is a Python with megatron-energon, webdataset and
pyspng; what it lacks is skipped by name. Writes `loader.json` and `loader.md`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import skimage
import torch
from diffusers import AutoencoderKL

from benchmarks.peer_loaders import PEERS, serve
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.exports.export import export_dataset
from pairbridge.datagen.shards.records import Sidecar
from pairbridge.datagen.shards.sample import Pair as Fields
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
OURS, LATENTS = "this loader", "cached latents"
# What is asked: pairs a second on two free cores, times the best of the others, and that of latents.
WANTED = {"pairs_per_s": 450.0, "over_best": 1.5, "latents_over_decoded": 20.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--peers", default=sys.executable, help="Python of the loaders of others")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--serve", nargs=3, metavar=("NAME", "ROOT", "WORKERS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.serve:
        name, root, workers = arguments.serve
        serve_ours(name, Path(root), int(workers))
        return
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), arguments.pairs, arguments.rounds, arguments.workers, arguments.peers)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "loader.json").write_text(json.dumps(result, indent=1) + "\n")
    page = markdown(result)
    (arguments.out / "loader.md").write_text(page)
    print(page)


class Reader:
    """A loader in a process of its own, which `peer_loaders.serve` runs."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    @classmethod
    def of(cls, name: str, root: Path, workers: int, peers: str) -> Self:
        if name in PEERS:
            file = Path(__file__).with_name("peer_loaders.py")
            return cls(name, [peers, str(file), name, str(root / "dataset"), str(workers), str(BATCH)])
        return cls(
            name, [sys.executable, "-m", "benchmarks.loader", "--serve", name, str(root), str(workers)]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()

    def started(self) -> str:
        """Why it did not start; empty if it did."""
        if self._process.stdout.readline():
            return ""
        return (self._process.stderr.read().splitlines() or ["it ended"])[-1]

    def ask(self, what: str, batches: int) -> dict:
        self._process.stdin.write(f"{what} {batches}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def measure(root: Path, pairs: int, rounds: int, workers: list[int], peers: str) -> dict:
    write_pairs(root / "dataset", pairs)
    export_dataset(root / "dataset", "energon", root / "energon")
    config = training_config(write_autoencoder(root / "autoencoder"))
    began = time.perf_counter()
    encode_dataset(config, root / "dataset", recipes=(), split="train", roles=RoleChoice())
    encode_s = time.perf_counter() - began
    skipped: dict[str, str] = {}
    rows = []
    for count in workers:
        with ExitStack() as running:
            readers = []
            for name in (*PEERS, OURS, LATENTS):
                reader = running.enter_context(Reader.of(name, root, count, peers))
                if why := reader.started():
                    skipped[name] = why
                else:
                    readers.append(reader)
            compare(readers, pairs)
            found: dict[str, list[dict]] = {reader.name: [] for reader in readers}
            for _ in range(rounds):
                for reader in readers:
                    # Latents come so fast that a short measurement would time little but the clock.
                    batches = max(1, (10 if reader.name == LATENTS else 1) * pairs // BATCH)
                    took = reader.ask("time", batches)
                    found[reader.name].append({name: took[name] / batches / BATCH for name in took})
        rows.append({"workers": count, **summary(found)})
    return {
        "size": SIZE,
        "batch": BATCH,
        "pairs": pairs,
        "rounds": rounds,
        "encode_s": encode_s,
        "field_bytes": field_bytes(root / "dataset"),
        "load": os.getloadavg()[1],
        "skipped": skipped,
        "rows": rows,
    }


def compare(readers: list[Reader], pairs: int) -> None:
    """Assert that all loaders of pixels give the same floats for the same pairs."""
    ours = next(reader for reader in readers if reader.name == OURS).ask("digests", pairs // BATCH)
    assert len(ours) == pairs, f"{len(ours)} of {pairs} pairs in one epoch"
    for reader in readers:
        if reader.name in PEERS:
            digests = reader.ask("digests", 3)
            wrong = [key for key, digest in digests.items() if ours[key] != digest]
            assert digests, reader.name
            assert not wrong, f"{reader.name} gives other floats for {wrong[:3]}"


def summary(found: dict[str, list[dict]]) -> dict:
    """Medians of each loader, in milliseconds a pair, and of the ratios round by round."""
    loaders = {
        name: {figure: 1000 * statistics.median(took[figure] for took in rounds) for figure in rounds[0]}
        for name, rounds in found.items()
    }
    others = [name for name in found if name in PEERS]
    best = min(others, key=lambda name: loaders[name]["cpu_s"])
    return {
        "ms_per_pair": loaders,
        "best": best,
        "over_best": {figure: _ratio(found[best], found[OURS], figure) for figure in ("seconds", "cpu_s")},
        "latents_over_decoded": {
            figure: _ratio(found[OURS], found[LATENTS], figure) for figure in ("seconds", "cpu_s")
        },
    }


def _ratio(slower: list[dict], faster: list[dict], figure: str) -> float:
    return statistics.median(a[figure] / b[figure] for a, b in zip(slower, faster, strict=True))


def field_bytes(dataset: Path) -> dict[str, float]:
    """Mean size of each field's file."""
    fields = [
        sample.fields
        for shard in sorted((dataset / "shards").glob("*.json"))
        for sample in Sidecar.from_file(shard).samples
    ]
    return {name: statistics.mean(own[name][1] for own in fields) for name in fields[0]}


def serve_ours(name: str, root: Path, workers: int) -> None:
    cached = None
    if name == LATENTS:
        autoencoder = build_autoencoder(training_config(root / "autoencoder").autoencoder)
        cached = CachedWith(autoencoder.name, autoencoder.digest, with_pixels=False)
    serve(mixed(root, workers, cached).batches(), network_images_of)


def network_images_of(batch: dict) -> dict:
    """The pictures as a step computes with them."""
    return network_images({name: own for name, own in batch.items() if isinstance(own, torch.Tensor)})


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
    kib = {name.partition(".")[0]: size / 1024 for name, size in result["field_bytes"].items()}
    lines = [
        "# Loader",
        "",
        f"Milliseconds a pair of {size}x{size} pixels (source, target, mask, meta.json), batches of {batch},",
        f"as they are handed to the training's process. Medians of {result['rounds']} rounds of",
        f"{result['pairs']} pairs in which the loaders, each in a process of its own, took turns. Processor:",
        "seconds of all processes together, which other work on the machine changes little; clock: likewise,",
        "which it does change. Written by `python -m benchmarks.loader`.",
        "",
        "- All loaders read the same shards of crops of photographs: "
        + ", ".join(f"{name} {kib[name]:.0f} KiB" for name in ("source", "target", "mask"))
        + " in the mean.",
        "- That they give the same float32 tensors, bit for bit, is checked first.",
        "- *uint8*: pictures are handed over, and go to a GPU, as whole numbers; floats are made there, by",
        "  nobody while the clock runs. *float*: the loader's processes make float32, channels last.",
        "- *Workers* are processes; of this loader they are threads of the training's process.",
        "- *libspng*: pictures are decoded by pyspng, else by OpenCV. Latents are those of an AutoencoderKL",
        "  of random weights with a factor of eight.",
        "- Loaders of others: `benchmarks/peer_loaders.py`.",
        "",
    ]
    lines += [f"Skipped: {name} ({why})." for name, why in result["skipped"].items()]
    lines += ["", "| workers | loader | processor, ms | clock, ms | pairs a second of two cores |"]
    lines += ["|---|---|---|---|---|"]
    for row in result["rows"]:
        for name, took in row["ms_per_pair"].items():
            lines.append(
                f"| {row['workers']} | {name} | {took['cpu_s']:.2f} | {took['seconds']:.2f} |"
                f" {2000 / took['cpu_s']:.0f} |"
            )
    lines += [
        "",
        "*Pairs a second of two cores*: what two cores do that do nothing else, by the processor's seconds.",
        f"They were taken at a load of {result['load']:.0f} on two cores, where caches and cores are shared.",
        "",
        "| workers | best of the others | its time / ours, processor | clock | ours / latents |",
        "|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        over, latents = row["over_best"], row["latents_over_decoded"]
        lines.append(
            f"| {row['workers']} | {row['best']} | {over['cpu_s']:.2f} | {over['seconds']:.2f} |"
            f" {latents['cpu_s']:.1f} |"
        )
    last = result["rows"][-1]
    reached = {
        "pairs_per_s": 2000 / last["ms_per_pair"][OURS]["cpu_s"],
        "over_best": min(row["over_best"]["cpu_s"] for row in result["rows"]),
        "latents_over_decoded": min(row["latents_over_decoded"]["cpu_s"] for row in result["rows"]),
    }
    asked = {
        "pairs_per_s": f"pairs a second of two cores, {last['workers']} workers",
        "over_best": "times the best of the others, by the processor",
        "latents_over_decoded": "times as many from latents",
    }
    lines += ["", "Asked:", ""]
    lines += [f"- {asked[name]}: at least {WANTED[name]:g}; {reached[name]:.2f}" for name in WANTED]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
