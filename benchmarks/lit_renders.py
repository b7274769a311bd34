"""Distinct lit renders per processor second, of this checkout beside another, at a stated quality.

    python -m benchmarks.lit_renders [--before OTHER/.venv/bin/python] [--json FILE]

A group of N lightings gives N distinct renders of its objects, however many of its N (N - 1) ordered pairs
are kept: pairs alone can be inflated. Groups float, stand on the ground of the photograph, or on a procedural
one, under the embedded HDRIs, and come whole out of the recipe, compositing included. Seconds are those of
the processor, Blender's process with its one thread included; both checkouts take turns, group by group.
`--before` is the Python of the other checkout's own environment.

Quality is the PSNR of what objects cover (alpha above a half), after exposure, clipping and the sRGB curve,
against 1,024 samples of this checkout under the same lighting, of the first groups, `--psnr-size` wide.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from pairbridge import plan
from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.recipes.relighting_swap import RelightingSwap
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.scene.specs import ObjectSpec

GROUNDS = ("floating", "photograph", "procedural")
REFERENCE_SAMPLES = 1024
# What is asked: standing beside floating, and this checkout beside the one before.
WANTED = {"standing_over_floating": 2.2, "over_before": 1.5}


def dataset_config(ground: str, size: int, samples: int, lightings: int) -> DatasetConfig:
    """Groups of one kind, all of their ordered pairs kept."""
    recipe: dict[str, Any] = {
        "kind": "relighting_swap",
        "groups": {"train": 100},
        "size_WH": [size, size],
        "lightings_per_group": lightings,
        "pairs_per_group": lightings * (lightings - 1),
        "standing": 0.0 if ground == "floating" else 1.0,
        "redraws": 0,
    }
    if ground != "floating":
        recipe["grounds"] = {ground: 1.0}
    return DatasetConfig.model_validate(
        {"name": "lit", "seed": 4, "render": {"samples": samples}, "recipes": {"relighting": recipe}}
    )


class Maker:
    """Makes groups in this process and its Blender, one for each number of samples."""

    def __init__(self, folder: Path, lightings: int) -> None:
        self._folder, self._lightings = folder, lightings
        self._workbenches: dict[int, Workbench] = {}
        self._phases: dict[str, float] = {}
        self._phase = ("", 0.0)

    def made(self, ground: str, group: int, size: int, samples: int) -> dict[str, Any]:
        """Makes one group: processor seconds in all and by phase, or why it was refused."""
        spec, recipe, workbench = self._opened(ground, group, size, samples)
        self._phases, began = {}, self._cpu_s(workbench)
        self._phase = ("", began)
        try:
            made = recipe.make(spec, workbench)
        except Rejected as refused:
            return {"refused": refused.cause}
        self._turn_to("", workbench)
        phases = {name: seconds for name, seconds in self._phases.items() if name}
        return {
            "cpu_s": self._cpu_s(workbench) - began,
            "phase_s": phases,
            "pairs": sum(not isinstance(pair, Rejected) for pair in made),
        }

    def shown(self, ground: str, group: int, size: int, samples: int, path: str) -> dict[str, Any]:
        """Writes what the group's first lighting shows, (H, W, 4) in display values and alpha, to `path`."""
        spec, recipe, workbench = self._opened(ground, group, size, samples)
        try:
            layer = recipe.render_layers(spec, [0], workbench)[0]
        except Rejected as refused:
            return {"refused": refused.cause}
        light = np.clip(layer.picture(), 0, 1)
        shown = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        np.save(path, np.concatenate([shown, layer.foreground[..., 3:]], axis=-1))
        return {}

    def close(self) -> None:
        for workbench in self._workbenches.values():
            workbench.close()

    def _opened(self, ground: str, group: int, size: int, samples: int):
        config = dataset_config(ground, size, samples, self._lightings)
        planned = plan(config)
        stream = next(stream for stream in planned.streams if stream.split == "train")
        if samples not in self._workbenches:
            workbench = Workbench(
                config.workbench,
                planned.catalogue,
                scratch_dir=self._folder / f"scratch-{samples}",
                threads=1,
                log_path=self._folder / f"blender-{samples}.log",
            )
            workbench.phase = lambda name: self._turn_to(name, workbench)
            workbench.blender.load_object(ObjectSpec(family="mug", seed=1))
            self._workbenches[samples] = workbench
        recipe = RelightingSwap(config.recipes["relighting"])
        return planned.group(stream, group), recipe, self._workbenches[samples]

    def _turn_to(self, name: str, workbench: Workbench) -> None:
        now, (before, began) = self._cpu_s(workbench), self._phase
        self._phases[before] = self._phases.get(before, 0.0) + now - began
        self._phase = (name, now)

    @staticmethod
    def _cpu_s(workbench: Workbench) -> float:
        blender = psutil.Process(workbench.blender.pid).cpu_times()
        return time.process_time() + blender.user + blender.system


def serve(lightings: int) -> None:
    """Answers one JSON request a line."""
    with tempfile.TemporaryDirectory() as folder:
        maker = Maker(Path(folder), lightings)
        for line in sys.stdin:
            request = json.loads(line)
            print(json.dumps(getattr(maker, request.pop("do"))(**request)), flush=True)
        maker.close()


class Checkout:
    """This file in the Python of one checkout."""

    def __init__(self, python: str, lightings: int) -> None:
        # By its path, and -P: a module's name, or its folder, would bring packages of this checkout along.
        command = [python, "-P", str(Path(__file__).resolve()), "--serve", "--lightings", str(lightings)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> "Checkout":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(60)

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self._process.args[0]} ended; its message is above")
        return json.loads(answer)


def measure(pythons: dict[str, str], arguments: argparse.Namespace) -> dict[str, Any]:
    """Rows of groups in turns, then the quality of each checkout."""
    rows, quality = [], []
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        checkouts = {
            name: stack.enter_context(Checkout(python, arguments.lightings))
            for name, python in pythons.items()
        }
        for ground in GROUNDS:
            # The first builds what the process keeps, and is not counted; refused ones neither.
            group = counted = 0
            while counted <= arguments.groups:
                order = list(checkouts)[:: -1 if group % 2 else 1]
                found = {
                    name: checkouts[name].ask(
                        "made", ground=ground, group=group, size=arguments.size, samples=arguments.samples
                    )
                    for name in order
                }
                group += 1
                if any("refused" in one for one in found.values()):
                    continue
                counted += 1
                if counted > 1:
                    rows += [
                        {"ground": ground, "group": group - 1, "of": n, **one} for n, one in found.items()
                    ]
                    print(rows[-len(found) :], flush=True)
        for ground in GROUNDS:
            for group in range(arguments.psnr_groups):
                request = {"ground": ground, "group": group, "size": arguments.psnr_size}
                path = str(Path(folder, "reference.npy"))
                found = checkouts["this"].ask("shown", samples=REFERENCE_SAMPLES, path=path, **request)
                if "refused" in found:
                    continue
                reference = np.load(path)
                for name, checkout in checkouts.items():
                    path = str(Path(folder, "shown.npy"))
                    checkout.ask("shown", samples=arguments.samples, path=path, **request)
                    shown, solid = np.load(path), reference[..., 3] > 0.5
                    error = float(((shown - reference)[solid, :3] ** 2).mean())
                    quality.append({**request, "of": name, "psnr_db": -10 * math.log10(error)})
                    print(quality[-1], flush=True)
    return {
        "size": arguments.size,
        "samples": arguments.samples,
        "lightings": arguments.lightings,
        "psnr_size": arguments.psnr_size,
        "summary": summary(rows, quality, list(pythons), arguments.lightings),
        "groups": rows,
        "quality": quality,
    }


def summary(rows: list[dict], quality: list[dict], names: list[str], lightings: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in names:
        found[name] = {}
        for ground in GROUNDS:
            mine = [row for row in rows if row["of"] == name and row["ground"] == ground]
            total = sum(row["cpu_s"] for row in mine)
            of_quality = [one["psnr_db"] for one in quality if one["of"] == name and one["ground"] == ground]
            found[name][ground] = {
                "lit_renders_per_cpu_s": lightings * len(mine) / total,
                "pairs_per_cpu_s": sum(row["pairs"] for row in mine) / total,
                "cpu_s_of_a_lit_render": total / lightings / len(mine),
                "load_share": sum(row["phase_s"].get("load", 0.0) for row in mine) / total,
                "compose_share": sum(row["phase_s"].get("compose", 0.0) for row in mine) / total,
                "psnr_db": statistics.fmean(of_quality) if of_quality else None,
            }
    if len(names) > 1:
        found["ratio"] = {
            ground: found[names[0]][ground]["lit_renders_per_cpu_s"]
            / found[names[1]][ground]["lit_renders_per_cpu_s"]
            for ground in GROUNDS
        }
    return found


def markdown(found: dict[str, Any]) -> str:
    """The table of the page."""
    size, samples, summed = found["size"], found["samples"], found["summary"]
    names = [name for name in summed if name != "ratio"]
    lines = [
        f"{size}x{size}, {samples} samples, {found['lightings']} lightings a group; PSNR at"
        f" {found['psnr_size']}x{found['psnr_size']}.",
        "",
        "| | checkout | lit renders per processor second | pairs | seconds of a lit render, over floating"
        " | loading | PSNR |",
        "|---|---|---|---|---|---|---|",
    ]
    for ground in GROUNDS:
        for name in names:
            row, floating = summed[name][ground], summed[name]["floating"]
            seconds = row["cpu_s_of_a_lit_render"]
            quality = "" if row["psnr_db"] is None else f"{row['psnr_db']:.2f} dB"
            lines.append(
                f"| {ground} | {name} | {row['lit_renders_per_cpu_s']:.2f} | {row['pairs_per_cpu_s']:.2f}"
                f" | {seconds:.3f} s, {seconds / floating['cpu_s_of_a_lit_render']:.2f}"
                f" | {100 * row['load_share']:.0f} % | {quality} |"
            )
    if "ratio" in summed:
        ratios = ", ".join(f"{ground} {ratio:.2f}" for ground, ratio in summed["ratio"].items())
        lines += ["", f"This checkout over the one before: {ratios} (goal {WANTED['over_before']})."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", help="the Python of the other checkout's environment")
    parser.add_argument("--groups", type=int, default=4, help="of each ground that count")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--lightings", type=int, default=3)
    parser.add_argument("--psnr-groups", type=int, default=2)
    parser.add_argument("--psnr-size", type=int, default=96)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.lightings)
        return
    pythons = {"this": sys.executable} | ({"before": arguments.before} if arguments.before else {})
    found = measure(pythons, arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    print(markdown(found))


if __name__ == "__main__":
    main()
