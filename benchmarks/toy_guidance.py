"""What does guidance do to a law that is known? Strength against quality and diversity, on two moons.

    python -m benchmarks.toy_guidance [--out docs/benchmarks] [--images docs/images]

One perceptron learns the flow from noise to two moons, with the moon as its class, which is withheld from
three samples in ten; another learns to tell the moon from points of the path. Samples of the upper moon are
then drawn at rising strengths of either guidance. Quality: the exact 2-Wasserstein distance to that moon, and
how many samples are nearest to a point of it. Diversity: the mean distance of two samples, as a share of that
of two points of the moon. Half a minute of one core. Writes `toy_guidance.json`, `.md` and `.png`.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.plane_laws import PlaneNetwork, labelled_moons, wasserstein2
from pairbridge.datagen.core.seeds import seed31
from pairbridge.training.bridge.bridges import BrownianBridge
from pairbridge.training.bridge.equations import interpolate, velocity
from pairbridge.training.bridge.flow import classifier_free, classifier_guided, from_noise
from pairbridge.training.bridge.sample_loop import sample
from pairbridge.training.bridge.samplers import HeunSampler
from pairbridge.training.bridge.timesteps import UniformTimesteps

matplotlib.use("agg")
import matplotlib.pyplot as plt

POINTS = 1000
BATCH = 512
FLOW_STEPS, CLASSIFIER_STEPS = 1500, 1000
WITHHELD = 0.3
SAMPLING_STEPS = 20
STRENGTHS = (0.0, 1.0, 2.0, 3.0, 5.0)
TIMESTEPS = UniformTimesteps(cap=0.98)
UPPER = torch.tensor([0.0, 1.0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result, drawn = measure()
    for folder in (arguments.out, arguments.images):
        folder.mkdir(parents=True, exist_ok=True)
    (arguments.out / "toy_guidance.json").write_text(json.dumps(result, indent=1) + "\n")
    page = markdown(result)
    (arguments.out / "toy_guidance.md").write_text(page)
    plot(drawn, arguments.images / "toy_guidance.png")
    print(page)


def measure() -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The figures, and what to draw by its title."""
    network, classifier = learned_flow(), learned_classifier()

    def under(code: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda x, t: network(x, t, code.expand(len(x), 2))

    def log_upper(x: Tensor, t: Tensor) -> Tensor:
        return torch.log_softmax(classifier(x, t), dim=1)[:, 1]

    conditional, unconditional = under(UPPER), under(torch.zeros(2))
    known, known_labels = labelled_moons(8 * POINTS, stream("known"))
    upper = known[known_labels == 1]
    target, again = upper[:POINTS], upper[POINTS : 2 * POINTS]

    def judged(samples: Tensor, guided: str, strength: float | None) -> dict[str, Any]:
        nearest = torch.cdist(samples, known).argmin(dim=1)
        return {
            "guided": guided,
            "strength": strength,
            "recognised": float(known_labels[nearest].float().mean()),
            "w2": wasserstein2(samples, target),
            "diversity": float(torch.pdist(samples).mean() / torch.pdist(target).mean()),
        }

    rows, drawn = [judged(again, "the moon itself", None)], {"the upper moon": target}
    for strength in STRENGTHS:
        samples = from_field(classifier_free(conditional, unconditional, strength))
        rows.append(judged(samples, "classifier-free", strength))
        drawn[f"classifier-free, {strength:g}"] = samples
    for strength in STRENGTHS[1:]:
        samples = from_field(classifier_guided(unconditional, log_upper, strength, from_noise))
        rows.append(judged(samples, "by a classifier", strength))
        drawn[f"classifier, {strength:g}"] = samples
    return {"points": POINTS, "sampling_steps": SAMPLING_STEPS, "rows": rows}, drawn


def from_field(field: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Where the same noise arrives."""
    noise, sampler = torch.randn(POINTS, 2, generator=stream("noise")), HeunSampler()
    return sample(
        sampler,
        field,
        noise,
        sampler.times(SAMPLING_STEPS),
        bridge=BrownianBridge(sigma=0),
        generator=torch.Generator(),
    )


def learned_flow() -> PlaneNetwork:
    network, drawn = PlaneNetwork(seed=0, beside=2), stream("flow")

    def loss() -> Tensor:
        x_t, t, label, wanted = on_the_path(drawn)
        code = F.one_hot(label, 2) * (torch.rand(BATCH, 1, generator=drawn) >= WITHHELD)
        return (network(x_t, t, code.float()) - wanted).square().mean()

    return fitted(network, loss, FLOW_STEPS)


def learned_classifier() -> PlaneNetwork:
    network, drawn = PlaneNetwork(seed=1), stream("classifier")

    def loss() -> Tensor:
        x_t, t, label, _ = on_the_path(drawn)
        return F.cross_entropy(network(x_t, t), label)

    return fitted(network, loss, CLASSIFIER_STEPS)


def on_the_path(drawn: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x_t, t, the moon, and the velocity, of a batch."""
    x1, label = labelled_moons(BATCH, drawn)
    x0, t = torch.randn(BATCH, 2, generator=drawn), TIMESTEPS.sample(BATCH, drawn)
    return interpolate(x0, x1, t, torch.zeros_like(x0), 0.0), t, label, velocity(x0, x1)


def fitted(network: PlaneNetwork, loss: Callable[[], Tensor], steps: int) -> PlaneNetwork:
    optimiser = torch.optim.Adam(network.parameters(), lr=4e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        loss().backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        decay.step()
    return network.requires_grad_(False)


def stream(what: str) -> torch.Generator:
    return torch.Generator().manual_seed(seed31(0, "toy guidance", what))


def markdown(result: dict[str, Any]) -> str:
    lines = [
        "# Guidance towards one of two moons",
        "",
        f"{result['points']} samples a row, {result['sampling_steps']} steps of Heun, one seed; what each"
        " column is stands at the top of",
        "`benchmarks/toy_guidance.py`, which writes this page.",
        "",
        "| guided | strength | nearest to the upper moon | W2 to it | diversity |",
        "|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        strength = "" if row["strength"] is None else f"{row['strength']:g}"
        lines.append(
            f"| {row['guided']} | {strength} | {row['recognised']:.1%} | {row['w2']:.3f} |"
            f" {row['diversity']:.2f} |"
        )
    lines += [
        "",
        "The first row is the floor. Strength 0 is the flow of both moons, 1 the class as it was learned.",
        "",
        "![Samples by strength](../images/toy_guidance.png)",
        "",
    ]
    return "\n".join(lines)


def plot(drawn: dict[str, Tensor], path: Path) -> None:
    """The moon and its samples; above what the flow was told, below what the classifier said."""
    figure, axes = plt.subplots(
        2, len(STRENGTHS), figsize=(12, 3.7), sharex=True, sharey=True, layout="constrained"
    )
    above = [f"classifier-free, {strength:g}" for strength in STRENGTHS]
    below = ["the upper moon", *(f"classifier, {strength:g}" for strength in STRENGTHS[1:])]
    for axis, title in zip(axes.flat, [*above, *below], strict=True):
        points = drawn[title]
        colour = "#78716c" if title == "the upper moon" else "#0f766e"
        axis.plot(points[:, 0], points[:, 1], ".", markersize=2, alpha=0.6, color=colour)
        axis.set_title(title, fontsize=10)
        axis.set_aspect("equal")
        axis.tick_params(labelsize=8)
    figure.savefig(path, dpi=100, facecolor="white", metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
