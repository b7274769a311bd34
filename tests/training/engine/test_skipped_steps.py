"""A step whose gradient is no number changes nothing, is counted, and too many in a row end a training."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from pairbridge.training.engine.checkpoint import read_tensors
from pairbridge.training.engine.ema import EmaSettings
from pairbridge.training.engine.engine_run import TrainingDiverged
from pairbridge.training.engine.learner import Learner
from pairbridge.training.engine.optimiser import OptimiserConfig
from tests.training.bridge_training.test_training_loop import config, mix, root, train

__all__ = ["root"]  # a fixture

# Infinite for about a share of the batches, which ones being a function of the data alone.
PARTS = """
import torch
from torch import nn

class Fragile(nn.Module):
    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, output, target, mask):
        loss = (output - target).square().mean(dim=(1, 2, 3))
        factor = torch.where((997 * target.mean().abs()).frac() < self.share, torch.inf, 1.0)
        return factor * loss
"""


def learner() -> Learner:
    torch.manual_seed(0)
    return Learner(
        nn.Linear(3, 2), OptimiserConfig(warmup_images=0), total_images=100, ema=EmaSettings(half_life=4)
    )


def step(own: Learner, number: int, factor: float = 1.0) -> float:
    inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(number))
    losses = lambda network, rows: {"loss": factor * network(inputs[rows]).square().sum(1)}  # noqa: E731
    return float(own.descend(losses, rows=4, images=0)["gradient_norm"])


@pytest.mark.parametrize("factor", [torch.inf, torch.nan])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_weights_optimiser_and_ema_are_as_if_the_step_had_not_been(factor, precision):
    calm, shaken = learner(), learner()
    for own in (calm, shaken):
        own.ema = type(own.ema)(own.weights.values(), EmaSettings(half_life=4, precision=precision))
    for number in range(3):
        step(calm, number)
        step(shaken, number)
    before = {kind: {name: one.clone() for name, one in of.items()} for kind, of in shaken.tensors().items()}
    assert not torch.isfinite(torch.tensor(step(shaken, 99, factor)))
    for kind, tensors in shaken.tensors().items():
        assert all(torch.equal(tensors[name], kept) for name, kept in before[kind].items()), kind
    step(calm, 3)
    step(shaken, 3)
    for kind in ("model", "optimiser"):
        a, b = calm.tensors()[kind], shaken.tensors()[kind]
        assert all(torch.equal(a[name], b[name]) for name in a)


def fragile(folder: Path, share: float, **changes):
    (folder / "parts.py").write_text(PARTS)
    term = {"loss": f"{folder / 'parts.py'}:Fragile", "weight": 1.0, "settings": {"share": share}}
    constant = {"schedule": "constant", "warmup_images": 8}
    return config(loss={"terms": [term]}, optimiser=constant, **changes)


def test_skipped_steps_are_counted_and_resumed_past_exactly(root: Path, tmp_path: Path):
    lines = []
    straight = train(
        fragile(tmp_path, 0.3, steps=12), mix(), tmp_path / "a", run_root=root, on_progress=lines.append
    )
    skipped = sum(line["skipped_steps"] for line in lines)
    assert 0 < skipped < 12
    assert all(
        json.loads(text)["loss"] >= 0 for text in (tmp_path / "a" / "stats.jsonl").read_text().splitlines()
    )
    train(fragile(tmp_path, 0.3, steps=7), mix(), tmp_path / "b", run_root=root)
    resumed = train(fragile(tmp_path, 0.3, steps=12), mix(), tmp_path / "b", run_root=root)
    for name in ("model", "optimiser", "ema"):
        a, b = read_tensors(straight.checkpoint, name), read_tensors(resumed.checkpoint, name)
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_too_many_in_a_row_end_the_training_by_name(root: Path, tmp_path: Path):
    with pytest.raises(
        TrainingDiverged, match=r"gradient_norm is (nan|inf) at step 4, as at the 3 before it"
    ):
        train(fragile(tmp_path, 1.0, max_skipped_in_row=3), mix(), tmp_path / "a", run_root=root)
    assert not (tmp_path / "a" / "stats.jsonl").read_text()
