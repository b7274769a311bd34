"""Pairs per second of workers of one thread each, and where a worker's time goes.

The real thing: `pairbridge generate` on a relighting dataset of embedded assets, with a Ray of its own;
seconds and phases come from the dataset's ledger, so start-up and baking do not count.
"""

from pathlib import Path

from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.shelves.ledger import read_ledger

LEAST_SCALING, LARGEST_SHARE = 1.7, 0.15
# What is not rendering, loading or planning: background and paste, PNG encoding, writing of the tar.
BESIDE_RENDERING = ("compose", "encode", "stage")


def config(groups: int, size: int, samples: int, workers: int) -> DatasetConfig:
    return DatasetConfig.model_validate(
        {
            "name": "throughput",
            "seed": 4,
            "render": {"samples": samples},
            "groups_per_shard": groups,
            # Without it a worker that is alone takes all cores.
            "execution": {"pools": {"render": {"recipes": ["relighting"], "workers": workers, "cpus": 1}}},
            "recipes": {
                "relighting": {
                    "kind": "relighting_swap",
                    "groups": {"train": groups},
                    "size_WH": [size, size],
                    "pairs_per_group": 2,
                    "lightings_per_group": 3,
                    "redraws": 0,
                }
            },
        }
    )


def throughput(folder: Path, workers: int, *, groups: int, size: int, samples: int) -> dict:
    """Pairs per second while there is work for all workers, and shares of the phases. A run's last groups,
    which leave one of them idle, would weigh too much in a run of a few dozen.
    """
    out = folder / f"workers-{workers}"
    chosen = config(groups, size, samples, workers)
    generate(chosen, out, workers=workers, on_progress=lambda snapshot: None)
    events = [event for event in read_ledger(out) if event["event"] == "group"]
    pairs = sum(event["pairs"] for event in events)
    worker_s = sum(event["wall_s"] + event["wait_s"] for event in events)
    phases: dict[str, float] = {}
    for event in events:
        for name, seconds in event["phase_s"].items():
            phases[name] = phases.get(name, 0.0) + seconds
    total = sum(phases.values())
    return {
        "workers": workers,
        "size": size,
        "samples": samples,
        "pairs": pairs,
        "pairs_per_s": round(workers * pairs / worker_s, 4),
        "share_beside_rendering": round(sum(phases.get(name, 0.0) for name in BESIDE_RENDERING) / total, 4),
        "shares": {name: round(seconds / total, 4) for name, seconds in sorted(phases.items())},
    }
