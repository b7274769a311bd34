"""The bridge for a network and a loop of one's own: no config, no checkpoints, no autoencoder."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, RandomSampler, TensorDataset

from pairbridge.datagen.core.seeds import seed31
from pairbridge.training.bridge.bridges import AnyBridge, BrownianBridge
from pairbridge.training.bridge.timesteps import Timesteps, UniformTimesteps
from pairbridge.training.bridge_training.losses import LossConfig
from pairbridge.training.bridge_training.objective import regress
from pairbridge.training.engine.learner import Learner
from pairbridge.training.engine.optimiser import OptimiserConfig

BRIDGE, TIMESTEPS, LOSS, OPTIMISER = BrownianBridge(), UniformTimesteps(), LossConfig(), OptimiserConfig()


def fit(
    network: nn.Module,
    pairs: Dataset | tuple[Tensor, Tensor],
    *,
    steps: int = 1000,
    batch_size: int = 16,
    bridge: AnyBridge = BRIDGE,
    timesteps: Timesteps = TIMESTEPS,
    loss: LossConfig = LOSS,
    optimiser: OptimiserConfig = OPTIMISER,
    seed: int = 0,
) -> list[float]:
    """Train `network(x_t, t)` in place, on its device; the mean loss of every step.

    `pairs`: sources and targets (N, C, H, W), or a dataset of (source, target), (C, H, W) each, or of
    mappings that have them by name, as `open_dataset` gives. They are used as they are: in [-1, 1], or as
    latents. Of `loss` the latent part counts. `pairbridge.training.bridge.sample_loop.sample` then
    translates.
    """
    data = TensorDataset(*pairs) if isinstance(pairs, tuple) else pairs
    generator = torch.Generator().manual_seed(seed31(seed, "fit"))
    order = RandomSampler(data, num_samples=steps * batch_size, generator=generator)
    learner = Learner(network, optimiser, total_images=steps * batch_size)
    device = next(network.parameters()).device
    losses = []
    for step, batch in enumerate(DataLoader(data, batch_size, sampler=order)):
        x0, x1 = (batch["source"], batch["target"]) if isinstance(batch, dict) else batch
        eps = torch.randn(x0.shape, generator=generator)
        t = timesteps.sample(len(x0), generator)
        x0 = eps if bridge.start == "noise" else x0
        drawn = [tensor.to(device) for tensor in (x0, x1, t, eps)]

        def error(module: nn.Module, rows: slice, drawn: list[Tensor] = drawn) -> dict[str, Tensor]:
            return {"loss": regress(bridge, loss, module, *(tensor[rows] for tensor in drawn))[0]}

        found = learner.descend(error, rows=len(x0), images=step * batch_size)
        losses.append(found["loss"].mean())
    return torch.stack(losses).tolist()
