"""The renderer's figures as a table, and as JSON: fixed cost, quality, smooth materials, scaling, memory, the
cost of confinement.

    python -m benchmarks.render [--parts fixed quality smooth scaling encoding memory confined] [--json FILE]

Each part replaces its own entry of the JSON file and leaves the others as they are, so that parts can be run
one at a time on an idle machine (the parts quality and smooth do not depend on its load). Targets are printed
beside what was measured.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import render_confined, render_fixed, render_memory, render_quality, render_throughput
from pairbridge.datagen.assets.catalogue import AssetsConfig
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.scene.specs import ObjectSpec
from pairbridge.datagen.sourcing.sources import build_catalogue

Verdict = dict[str, Any]

# Of the part scaling: one worker, two workers, and again.
TURNS = 3
# Of the part smooth: 32 references of 1024 samples each.
SMOOTH_SIZE = 128


def fixed(folder: Path, arguments: argparse.Namespace) -> Verdict:
    rows = _printed(
        render_fixed.fixed_cost(
            folder,
            size=arguments.size,
            samples=16,
            threads=arguments.threads,
            repeats=arguments.repeats,
        )
    )
    medians = {
        change: statistics.median(row["fixed_s"] for row in rows if row["change"] == change)
        for change in dict.fromkeys(row["change"] for row in rows)
    }
    met = all(seconds <= render_fixed.TARGET_S for seconds in medians.values())
    return {"target": f"<= {render_fixed.TARGET_S} s each", "measured": medians, "met": met, "rows": rows}


def quality(folder: Path, arguments: argparse.Namespace) -> Verdict:
    settings = RenderSettings()
    with render_quality.Bench(folder, arguments.size, arguments.threads) as bench:
        rows = _printed(
            render_quality.losses(
                bench,
                ObjectSpec(family="teapot", seed=1),
                settings.lighting_copy_width,
                render_quality.bundled_hdris(),
                seeds=(1, 2, 3),
            )
        )
    return _of_losses(rows, arguments.size)


def smooth(folder: Path, arguments: argparse.Namespace) -> Verdict:
    settings, rows = RenderSettings(), []
    with render_quality.Bench(folder, SMOOTH_SIZE, arguments.threads) as bench:
        for roughness in (0.2, 0.12, 0.08, 0.05):
            width = settings.lighting_copy_width_for(roughness)
            found = render_quality.losses(
                bench,
                ObjectSpec(path=render_quality.shiny_sphere(folder, roughness, 1.0)),
                width,
                render_quality.bundled_hdris(),
                seeds=(1, 2, 3),
            )
            rows += _printed({"roughness": roughness, "copy": width, **row} for row in found)
    return _of_losses(rows, SMOOTH_SIZE)


def scaling(folder: Path, arguments: argparse.Namespace) -> Verdict:
    """In turns, so that a machine whose speed drifts is as slow for one worker as for two."""
    made = (
        render_throughput.throughput(
            folder / str(turn), workers, groups=arguments.groups, size=arguments.size, samples=16
        )
        for turn in range(TURNS)
        for workers in (1, 2)
    )
    rows = _printed(made)
    one, two = (
        statistics.harmonic_mean([row["pairs_per_s"] for row in rows if row["workers"] == workers])
        for workers in (1, 2)
    )
    ratio = round(two / one, 3)
    return {
        "target": f">= {render_throughput.LEAST_SCALING} of one worker's pairs per second",
        "measured": ratio,
        "met": ratio >= render_throughput.LEAST_SCALING,
        "rows": rows,
    }


def encoding(folder: Path, arguments: argparse.Namespace) -> Verdict:
    (row,) = _printed(
        iter([render_throughput.throughput(folder, 1, groups=arguments.groups, size=512, samples=64)])
    )
    return {
        "target": f"< {render_throughput.LARGEST_SHARE} of a worker's time",
        "measured": row["share_beside_rendering"],
        "met": row["share_beside_rendering"] < render_throughput.LARGEST_SHARE,
        "rows": [row],
    }


def memory(folder: Path, arguments: argparse.Namespace) -> Verdict:
    catalogue = build_catalogue(AssetsConfig(), None)
    families = tuple(sorted(asset.id for asset in catalogue.assets if asset.kind == "family"))
    rows = _printed(render_memory.memory(folder, families, objects=arguments.objects, every=50))
    settled = next(row["rss_mib"] for row in rows if row["objects"] == render_memory.SETTLED_AFTER)
    growth = round(rows[-1]["rss_mib"] / settled - 1, 3)
    return {
        "target": f"< {render_memory.LARGEST_GROWTH} growth over {arguments.objects} objects",
        "measured": growth,
        "met": growth < render_memory.LARGEST_GROWTH,
        "rows": rows,
    }


def confined(folder: Path, arguments: argparse.Namespace) -> Verdict:
    rows = _printed(
        render_confined.confinement(
            folder, turns=arguments.turns, size=arguments.size, threads=arguments.threads
        )
    )
    medians = {
        mode: {
            name: statistics.median(row[name] for row in rows if row["confinement"] == mode)
            for name in ("start_cpu_s", "render_cpu_s")
        }
        for mode in ("on", "off")
    }
    ratios = {name: round(medians["on"][name] / off, 3) for name, off in medians["off"].items()}
    return {
        "target": f"<= {render_confined.LARGEST_RATIO} of the CPU time without",
        "measured": ratios,
        "met": max(ratios.values()) <= render_confined.LARGEST_RATIO,
        "rows": rows,
    }


PARTS: dict[str, Callable[[Path, argparse.Namespace], Verdict]] = {
    "fixed": fixed,
    "quality": quality,
    "smooth": smooth,
    "scaling": scaling,
    "encoding": encoding,
    "memory": memory,
    "confined": confined,
}


def _of_losses(rows: list[dict], size: int) -> Verdict:
    mean = round(statistics.fmean(row["loss_db"] for row in rows), 3)
    worst = max(row["loss_db"] for row in rows)
    return {
        "target": f"mean loss <= {render_quality.MEAN_LOSS_DB} dB, "
        f"none above {render_quality.LARGEST_LOSS_DB}",
        "measured": {"mean_loss_db": mean, "largest_loss_db": worst},
        "met": mean <= render_quality.MEAN_LOSS_DB and worst <= render_quality.LARGEST_LOSS_DB,
        "size": size,
        "rows": rows,
    }


def _printed(rows: Iterator[dict]) -> list[dict]:
    found = []
    for row in rows:
        if not found:
            print("  " + "  ".join(f"{name:>13s}" for name in row), flush=True)
        print("  " + "  ".join(f"{_short(value):>13s}" for value in row.values()), flush=True)
        found.append(row)
    return found


def _short(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--json", type=Path, help="the file whose entries are replaced")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--size", type=int, default=256, help="pixels of a side: fixed, quality, scaling")
    parser.add_argument("--repeats", type=int, default=30, help="renders of each change, part fixed")
    parser.add_argument("--groups", type=int, default=24, help="of two pairs: a turn of scaling, encoding")
    parser.add_argument("--objects", type=int, default=500, help="part memory")
    parser.add_argument("--turns", type=int, default=10, help="with and without: part confined")
    arguments = parser.parse_args()
    for name in arguments.parts:
        before = os.getloadavg()[0]
        print(f"{name} (load average {before:.1f})", flush=True)
        with tempfile.TemporaryDirectory(prefix="pairbridge-render-") as folder:
            verdict = PARTS[name](Path(folder), arguments)
        verdict["load_average_before"] = round(before, 1)
        outcome = "met" if verdict["met"] else "MISSED"
        print(f"{name}: {verdict['measured']}, target {verdict['target']}: {outcome}")
        if arguments.json:
            _replace(arguments.json, name, verdict)


def _replace(path: Path, name: str, verdict: Verdict) -> None:
    there = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**there, name: verdict}, indent=1) + "\n")


if __name__ == "__main__":
    main()
