"""How well do flow and bridge reach a law that is known, by number of steps?

    python -m benchmarks.toy [--seeds 0 1 2] [--out docs/benchmarks] [--images docs/images]

Eight Gaussians to two moons, drawn independently of each other. A perceptron per method and seed learns the
field, N steps of a sampler take fresh sources to samples, and their exact 2-Wasserstein distance to fresh
targets is taken, of `POINTS` points each. Beside it: the distance of two target samples (floor), and of
the sources as they are (baseline). Writes `toy.json`, `toy.md` and the plot `toy.png`. On one thread.
"""

import argparse
import json
import resource
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import torch
from torch import Tensor

from benchmarks.plane_laws import PlaneNetwork, eight_gaussians, moons, wasserstein2
from pairbridge.datagen.core.seeds import seed31
from pairbridge.training.bridge.bridges import BrownianBridge
from pairbridge.training.bridge.equations import drift, interpolate
from pairbridge.training.bridge.sample_loop import sample
from pairbridge.training.bridge.samplers import Dopri5Sampler, HeunSampler, PosteriorSampler, Sampler
from pairbridge.training.bridge.timesteps import UniformTimesteps
from tests.support.counted_field import CountedField

matplotlib.use("agg")
import matplotlib.pyplot as plt

POINTS = 2000
TRAIN_STEPS, BATCH, RATE = 4000, 512, 2e-3
# A hundred steps look at t = 0.99.
TIMESTEPS = UniformTimesteps(cap=0.995)
# Enough for the law that stays behind: W2 goes on falling where the steps were the error.
STEPS = (1, 4, 20, 100)


@dataclass(frozen=True, slots=True)
class Method:
    """A field that is learned at `sigma`, and a row of the table for each sampler with its step counts."""

    name: str
    sigma: float
    samplers: tuple[tuple[Sampler, tuple[int, ...]], ...]


POSTERIOR = (PosteriorSampler(), STEPS)
METHODS = (
    Method("flow", 0.0, (POSTERIOR, (HeunSampler(), (4, 20)), (Dopri5Sampler(end=0.995), (1,)))),
    Method("bridge", 0.5, (POSTERIOR,)),
    Method("bridge", 1.0, (POSTERIOR,)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--train-steps", type=int, default=TRAIN_STEPS)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result, pictures = measure(arguments.seeds, arguments.train_steps)
    for folder in (arguments.out, arguments.images):
        folder.mkdir(parents=True, exist_ok=True)
    (arguments.out / "toy.json").write_text(json.dumps(result, indent=1) + "\n")
    page = markdown(result)
    (arguments.out / "toy.md").write_text(page)
    plot(result, pictures, arguments.images / "toy.png")
    print(page)


def measure(seeds: list[int], train_steps: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The figures, and points of the first seed to draw."""
    floors, baselines = [], []
    rows: dict[tuple[str, float, str, int], dict[str, Any]] = {}
    pictures: dict[str, Tensor] = {}
    for seed in seeds:
        drawn = stream(seed, "test")
        sources, targets, again = eight_gaussians(POINTS, drawn), moons(POINTS, drawn), moons(POINTS, drawn)
        floors.append(wasserstein2(again, targets))
        baselines.append(wasserstein2(sources, targets))
        pictures = pictures or {"source": sources, "target": targets}
        for method in METHODS:
            network = fit(method.sigma, seed, train_steps)
            for sampler, counts in method.samplers:
                for steps in counts:
                    field = CountedField(network)
                    samples = sample(
                        sampler,
                        field,
                        sources,
                        sampler.times(steps),
                        bridge=BrownianBridge(sigma=method.sigma),
                        generator=stream(seed, "noise"),
                    )
                    key = (method.name, method.sigma, sampler.kind, 0 if sampler.adaptive else steps)
                    row = rows.setdefault(key, {"evaluations": [], "w2": []})
                    row["evaluations"].append(field.evaluations)
                    row["w2"].append(wasserstein2(samples, targets))
                    pictures.setdefault(f"{method.name}, sigma {method.sigma:g}, {steps} steps", samples)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    result = {
        "points": POINTS,
        "seeds": seeds,
        "train_steps": train_steps,
        "processor_s": round(usage.ru_utime + usage.ru_stime),
        "floor": floors,
        "baseline": baselines,
        "rows": [
            {"method": name, "sigma": sigma, "sampler": kind, "steps": steps or None, **row}
            for (name, sigma, kind, steps), row in rows.items()
        ],
    }
    return result, pictures


def fit(sigma: float, seed: int, steps: int) -> Callable[[Tensor, Tensor], Tensor]:
    """The drift, learned from independent draws of both ends with the error of the target estimate."""
    network, drawn = PlaneNetwork(seed=seed), stream(seed, "train")
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        x0, x1 = eight_gaussians(BATCH, drawn), moons(BATCH, drawn)
        t = TIMESTEPS.sample(BATCH, drawn)
        x_t = interpolate(x0, x1, t, torch.randn(BATCH, 2, generator=drawn), sigma)
        error = (1 - t[:, None]) * (network(x_t, t) - drift(x_t, x1, t))
        optimiser.zero_grad()
        error.square().mean().backward()
        optimiser.step()
        decay.step()
    return network.requires_grad_(False)


def stream(seed: int, what: str) -> torch.Generator:
    return torch.Generator().manual_seed(seed31(seed, "toy", what))


def markdown(result: dict[str, Any]) -> str:
    seeds, minutes = len(result["seeds"]), result["processor_s"] / 60
    lines = [
        "# Eight Gaussians to two moons",
        "",
        f"W2 to the target, {result['points']} points on each side, mean and standard deviation over {seeds}"
        " seeds (of data, weights and noise).",
        f"Written by `benchmarks/toy.py`; {minutes:.1f} minutes of one core.",
        "",
        "| field | sampler | steps | evaluations | W2 |",
        "|---|---|---|---|---|",
        f"| floor: target against target | | | | {spread(result['floor'])} |",
        f"| baseline: source as it is | | | | {spread(result['baseline'])} |",
    ]
    for row in result["rows"]:
        evaluations = statistics.mean(row["evaluations"])
        lines.append(
            f"| {row['method']}, sigma {row['sigma']:g} | {row['sampler']} | {row['steps'] or 'its own'} |"
            f" {evaluations:.0f} | {spread(row['w2'])} |"
        )
    lines += [
        "",
        "`posterior` without noise is Euler's method. One step is the mean of the target given the source,"
        " which here is the target's mean.",
        "",
        "![W2 by evaluations, and samples](../images/toy.png)",
        "",
    ]
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{deviation}"


def plot(result: dict[str, Any], pictures: dict[str, Tensor], path: Path) -> None:
    """Left W2 by evaluations, every seed a dot; right where points start, arrive and should arrive."""
    shown = ["source", "flow, sigma 0, 4 steps", "flow, sigma 0, 100 steps"]
    shown += ["target", "bridge, sigma 0.5, 4 steps", "bridge, sigma 0.5, 100 steps"]
    figure = plt.figure(figsize=(12, 4.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.5))
    axis = left.subplots()
    marks = {"posterior": "o-", "heun": "s--", "dopri5": "*"}
    colours = {0.0: "#0d9488", 0.5: "#d97706", 1.0: "#7c3aed"}
    curves: dict[tuple[float, str], list[dict[str, Any]]] = {}
    for row in result["rows"]:
        curves.setdefault((row["sigma"], row["sampler"]), []).append(row)
    for (sigma, kind), rows in curves.items():
        name = f"{rows[0]['method']}, sigma {sigma:g}" + ("" if kind == "posterior" else f", {kind}")
        evaluations = [statistics.mean(row["evaluations"]) for row in rows]
        means = [statistics.mean(row["w2"]) for row in rows]
        size = 12 if kind == "dopri5" else 5
        axis.plot(evaluations, means, marks[kind], color=colours[sigma], label=name, markersize=size)
        for x, row in zip(evaluations, rows, strict=True):
            axis.plot([x] * len(row["w2"]), row["w2"], ".", color=colours[sigma], markersize=3)
    for name, style in (("floor", ":"), ("baseline", "-.")):
        axis.axhline(statistics.mean(result[name]), color="#78716c", linestyle=style, label=name)
    axis.set(xscale="log", yscale="log", xlabel="network evaluations", ylabel="W2 to the target")
    axis.legend(fontsize=8)
    grid = right.subplots(2, 3, sharex=True, sharey=True)
    for panel, name in zip(grid.flat, shown, strict=True):
        points = pictures[name]
        panel.plot(points[:, 0], points[:, 1], ".", markersize=1.5, alpha=0.6, color="#0f766e")
        panel.set_title(name, fontsize=9)
        panel.set_aspect("equal")
        panel.tick_params(labelsize=7)
    figure.savefig(path, dpi=110, facecolor="white", metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
