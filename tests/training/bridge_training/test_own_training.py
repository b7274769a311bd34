"""A module of one's own learns a translation from tensors, in a few seconds."""

import torch
from torch import nn

from pairbridge.training.bridge.bridges import BrownianBridge
from pairbridge.training.bridge.sample_loop import sample
from pairbridge.training.bridge.samplers import PosteriorSampler
from pairbridge.training.bridge_training.own_training import fit
from pairbridge.training.engine.optimiser import OptimiserConfig

FAST = OptimiserConfig(learning_rate=2e-2, warmup_images=0)


class Colours(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 3, 1)

    def forward(self, x, t):
        return self.mix(x)


def trained(pairs, seed: int = 0) -> tuple[nn.Module, list[float]]:
    torch.manual_seed(0)
    network = Colours()
    return network, fit(network, pairs, steps=200, batch_size=8, optimiser=FAST, seed=seed)


def test_a_network_of_ones_own_learns_from_tensors_or_a_dataset() -> None:
    sources = torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(1)) - 0.5
    targets = sources + torch.tensor([0.3, 0.0, -0.2])[:, None, None]
    network, losses = trained((sources, targets))
    assert len(losses) == 200
    assert losses[-1] < 0.01 * losses[0]
    arrived = sample(
        PosteriorSampler(),
        network,
        sources,
        (0.0,),
        bridge=BrownianBridge(),
        generator=torch.Generator(),
    )
    assert float((arrived - targets).square().mean()) < 2e-3
    named = [{"source": x, "target": y, "key": "k"} for x, y in zip(sources, targets, strict=True)]
    assert trained(named)[1] == losses
    assert trained((sources, targets), seed=1)[1] != losses
