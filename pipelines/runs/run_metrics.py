"""All figures of a run, gathered from what its stages left on disk: the content of metrics.json and of the
report.
"""

import json
import platform
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from pairbridge.datagen.core.record_files import read_output
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.dataset.verify import dataset_status
from pairbridge.datagen.imaging.mask_statistics import lama_statistics, mask_statistics
from pairbridge.datagen.imaging.masks import EVALUATION, TRAINING
from pairbridge.datagen.imports.import_manifest import ImportManifest, is_import
from pairbridge.datagen.shards.commit import rejection_counts
from pairbridge.datagen.shards.fields import HoleContent
from pairbridge.datagen.shards.shard_index import ShardIndex
from pairbridge.pipelines.runs.placeholders import stand_ins
from pairbridge.pipelines.runs.run_config import PARTS, OtherSource, Run, other_sources
from pairbridge.pipelines.runs.stages import StageRecords
from pairbridge.pipelines.shelves.ledger import LedgerReader, RecipeTally, RunTally
from pairbridge.training.bridge_training.translation_model import training_buckets
from pairbridge.training.data.mix_report import describe_mix
from pairbridge.training.data.pairs import PairSource, open_store, splits_of
from pairbridge.training.engine.checkpoint import checkpoint_folders, read_state, tensors_of
from pairbridge.training.engine.run_log import read_lines
from pairbridge.training.networks.autoencoders import build_autoencoder

# Beside the versions that dataset.json records.
_VERSIONS_OF_THE_RUN = ("diffusers", "ray", "webdataset")

_FIGURE = re.compile(r"\d+(\.\d+)?")
# Masks looked at, per set: their mean coverage is then known to about 0.015.
_MASKS = 128


def collect(run: Run) -> dict[str, Any]:
    """JSON-able; every figure of the report comes from here. The stages before `report` must have
    finished.
    """
    manifest = DatasetManifest.from_folder(run.dataset_dir)
    dataset, others = _dataset(run, manifest), other_sources(run)
    described = [_describe(source) for source in others]
    return {
        "run": run.config.name,
        "dataset": dataset,
        "other_sources": described,
        "masks": _mask_metrics(run, dataset, others),
        "mix": _mix(run),
        "training": _training(run),
        "evaluation": _evaluation(run),
        "timings": _timings(run),
        "made": _made(run),
        "configuration": {part: getattr(run, part).model_dump(mode="json") for part in PARTS},
        "gates": _gates(run.dataset_dir),
        "quarantine": _quarantine(run.dataset_dir),
        "licences": _licences(manifest, described),
        "stand_ins": stand_ins(run),
        "versions": {
            "python": platform.python_version(),
            **manifest.versions,
            **{name: metadata.version(name) for name in _VERSIONS_OF_THE_RUN},
        },
    }


def _dataset(run: Run, manifest: DatasetManifest) -> dict[str, Any]:
    order = list(run.dataset.recipes)
    streams = sorted(dataset_status(run.dataset_dir), key=lambda stream: order.index(stream.recipe))
    return {
        "name": manifest.name,
        "seed": manifest.seed,
        "samples_per_pixel": run.dataset.render.samples,
        "pairs": sum(stream.pairs_made for stream in streams),
        "shards": sum(stream.shards_committed for stream in streams),
        "bytes": sum(shard.bytes for shard in ShardIndex(run.dataset_dir / "shards")),
        "streams": [
            {
                "recipe": stream.recipe,
                "kind": manifest.recipes[stream.recipe].kind,
                "split": stream.split,
                "groups": manifest.recipes[stream.recipe].splits[stream.split].groups,
                "pairs_planned": stream.pairs_planned,
                "pairs": stream.pairs_made,
                "quarantined": stream.holes,
                "shards": stream.shards_committed,
            }
            for stream in streams
        ],
    }


def _mask_metrics(run: Run, dataset: dict[str, Any], others: list[OtherSource]) -> list[dict[str, Any]]:
    """A row for each recipe of removal pairs, on the first of its splits that holds pairs, and for each other
    source of them, then LaMa's published generator's, where there is any row. `reference` marks the latter.
    """
    first = {
        stream["recipe"]: (stream["recipe"], run.dataset_dir, stream["recipe"], stream["split"])
        for stream in reversed(dataset["streams"])
        if stream["pairs"]
    }
    sets = [first[recipe] for recipe in run.dataset.recipes if recipe in first]
    sets += [(source.name, source.folder, source.recipe, source.splits[0]) for source in others]
    rows = [
        {"name": name, "reference": False, **asdict(mask_statistics(_masks(folder, recipe, split)))}
        for name, folder, recipe, split in sets
        if open_store(folder, recipe, split).roles.hole is HoleContent.NOISE
    ]
    if not rows:
        return []
    return rows + [
        {
            "name": f"{settings.name}, {settings.reference_side} pixels",
            "reference": True,
            **asdict(lama_statistics(settings, _MASKS)),
        }
        for settings in (TRAINING, *EVALUATION)
    ]


def _masks(folder: Path, recipe: str, split: str) -> Iterator[np.ndarray]:
    """Spread evenly over the set."""
    pairs = PairSource(folder, recipe, split)
    for index in pairs.spread(_MASKS):
        yield pairs.pair(index).mask


def _mix(run: Run) -> list[dict[str, Any]]:
    """Per source: the share that was asked for, and what the keys say that reached the optimiser."""
    consumed = Counter(
        key.partition("/")[0]
        for line in read_lines(run.training_dir / "consumed.jsonl")
        for key in line["keys"]
    )
    total = sum(consumed.values())
    planned = describe_mix(
        run.mix,
        run_root=run.folder,
        buckets=training_buckets(run.training, build_autoencoder(run.training.autoencoder)),
        num_batches=run.training.steps,
    )
    return [
        {
            "source": source.name,
            "recipe": asked.recipe,
            "pairs": source.pairs,
            "share_planned": float(source.share),
            "samples_planned": float(source.share * total),
            "samples_consumed": consumed[source.name],
            "share_consumed": consumed[source.name] / total,
            "epochs": consumed[source.name] / source.pairs,
        }
        for asked, source in zip(run.mix.sources, planned.sources, strict=True)
    ]


def _training(run: Run) -> dict[str, Any]:
    lines = read_lines(run.training_dir / "stats.jsonl")
    newest = checkpoint_folders(run.training_dir / "checkpoints")[-1]
    state = read_state(newest)
    tail = lines[-max(1, len(lines) // 10) :]
    return {
        "checkpoint": newest.name,
        "steps": lines[-1]["step"],
        "images": lines[-1]["images"],
        "buckets": [
            {"batch_size": batch_size, "size_WH": [width, height]}
            for width, height, batch_size in state.inputs["mix_buckets"]["buckets"]
        ],
        "log_every": run.training.log_every,
        "processes": run.config.train_on.workers if run.config.train_on else 1,
        "parameters": sum(one.size.numel() for one in tensors_of(newest, "ema").values()),
        "loss_first": lines[0]["loss"],
        "validation_loss": next(
            (line["validation_loss"] for line in reversed(lines) if "validation_loss" in line), None
        ),
        "loss_last_tenth": statistics.fmean(line["loss"] for line in tail),
        "images_per_s": statistics.median(line["images_per_s"] for line in lines),
        "data_wait": statistics.fmean(line["data_wait"] for line in lines),
    }


def _evaluation(run: Run) -> dict[str, Any]:
    """evaluation.json with its sources in the order of the configuration and the model before its
    baselines, which stand in the order of their names.
    """
    found = read_output(run.evaluation_dir / "evaluation.json", "evaluate")
    sources = {}
    for source in run.evaluation.sources:
        of_source = found["sources"][source.name]
        methods = of_source["methods"]
        ordered = {name: methods[name] for name in sorted(methods, key=lambda name: (name != "model", name))}
        sources[source.name] = {**of_source, "methods": ordered}
    return {**found, "sources": sources}


def _timings(run: Run) -> dict[str, Any]:
    """From the stages' records and from the ledger, the one file of a dataset that knows clocks."""
    records = StageRecords(run.folder / "stages")
    stages = {
        name: record["wall_s"]
        for name in ("generate", "verify", "train", "evaluate")
        if (record := records.read(name))
    }
    tally = RunTally.of(LedgerReader(run.dataset_dir).new_events())
    return {
        "stages_s": stages,
        "recipes": {
            recipe: _group_times(tally.recipes[recipe])
            for recipe in run.dataset.recipes
            if recipe in tally.recipes
        },
        "workers_s": tally.utilisation(),
        "slowest_assets": tally.slowest_assets(),
        "most_refused_assets": tally.most_refused_assets(),
        "faults": dict(tally.faults),
        "last_faults": list(tally.last_faults),
    }


def _made(run: Run) -> dict[str, Any]:
    """Stage -> the command, date, commit and machine that made it."""
    records = StageRecords(run.folder / "stages")
    return {
        name: record["made"]
        for name in ("generate", "verify", "train", "evaluate")
        if (record := records.read(name))
    }


def _group_times(recipe: RecipeTally) -> dict[str, Any]:
    return {
        "groups": recipe.walls.count,
        "pairs": recipe.pairs,
        "median_s": recipe.median_s,
        "worker_s": recipe.walls.total_s,
        "phase_s": {name: round(seconds, 3) for name, seconds in recipe.stage_s.most_common()},
    }


def _gates(dataset_dir: Path) -> list[dict[str, Any]]:
    """Per recipe and gate: refused draws, and pairs that it refused in their last draw too."""
    shards = list(ShardIndex(dataset_dir / "shards"))
    given_up = Counter((shard.shard.recipe, hole.gate) for shard in shards for hole in shard.holes)
    return [
        {"recipe": recipe, "gate": gate, "draws": draws, "quarantined": given_up[recipe, gate]}
        for (recipe, gate), draws in sorted(rejection_counts(shards).items())
    ]


def _quarantine(dataset_dir: Path) -> list[dict[str, Any]]:
    """Reasons, the most frequent first; those that differ in their figures alone are one."""
    entries: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in (dataset_dir / "quarantine.jsonl").read_text().splitlines():
        entry = json.loads(line)
        entries[_FIGURE.sub("#", entry["reason"])].append(entry)
    found = [
        {
            "reason": holes[0]["reason"],
            "pairs": len(holes),
            "asset": holes[0]["asset"],
            "first_key": holes[0]["key"],
        }
        for holes in entries.values()
    ]
    return sorted(found, key=lambda row: (-row["pairs"], row["reason"]))


def _licences(manifest: DatasetManifest, others: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the data may have drawn from, by licence and author: the dataset's assets, and what was mixed in
    from elsewhere as a whole.
    """
    grouped: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for asset in manifest.assets:
        entry = {"id": asset.id, "kind": asset.lighting or asset.kind, "source": asset.source}
        grouped[asset.licence, asset.author].append(entry)
    for other in others:
        entry = {"id": other["name"], "kind": other["kind"], "source": other["folder"]}
        grouped[", ".join(other["licences"]), ", ".join(other["authors"])].append(entry)
    return [
        {"licence": licence, "author": author, "assets": assets}
        for (licence, author), assets in sorted(grouped.items())
    ]


def _describe(source: OtherSource) -> dict[str, Any]:
    """What it is, how many pairs each of its splits holds, and under which licences."""
    pairs = {
        split: len(open_store(source.folder, source.recipe, split))
        for split in sorted(splits_of(source.folder, source.recipe))
    }
    common = {"name": source.name, "folder": source.folder.name, "recipe": source.recipe, "pairs": pairs}
    if is_import(source.folder):
        manifest = ImportManifest.from_folder(source.folder)
        return {
            **common,
            "kind": "import",
            "layout": manifest.layout["kind"],
            "licences": [manifest.licence],
            "authors": [manifest.author],
            "refused": manifest.rejected,
        }
    made = DatasetManifest.from_folder(source.folder)
    return {
        **common,
        "kind": made.recipes[source.recipe].kind,
        "layout": "pairbridge",
        "licences": sorted({asset.licence for asset in made.assets}),
        "authors": sorted({asset.author for asset in made.assets}),
        "refused": 0,
    }
