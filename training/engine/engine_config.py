"""What every training here can be told about its course, whatever it trains."""

from collections.abc import Set
from typing import Any, Literal

from pydantic import Field

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.training.engine.optimiser import OptimiserConfig

# How fast a training goes and what it says of itself: these may change when it resumes.
_FREE = {
    *("accumulate", "gradient_checkpointing", "device", "threads", "loader_workers", "watch"),
    *("log_every", "checkpoint_every", "keep_checkpoints"),
}


class EngineConfig(FrozenModel):
    seed: int = Field(default=0, ge=0)
    """Random seed of the initial weights and of every draw, apart from the order of the data, whose seed is
    the mix's."""
    steps: int = Field(default=1000, ge=1)
    """Optimiser steps of the model, in all."""
    ema_half_life_images: int = Field(default=1000, ge=1)
    """Half-life of the EMA of the weights, in images: a weight counts half after so many further ones. The
    EMA is what is evaluated and published."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device that the training runs on; `cuda` takes one GPU per rank."""
    accumulate: int = Field(default=1, ge=1)
    """Number of parts in which a rank's batch passes through the network before an optimiser step (gradient
    accumulation). It saves memory and may change when a run resumes."""
    gradient_checkpointing: bool = False
    """Whether activations are computed again in the backward pass: less memory, about a third more time."""
    threads: int = Field(default=2, ge=1)
    """CPU threads of torch in each rank's process."""
    loader_workers: int = Field(default=1, ge=0)
    """Processes per rank that read and decode pairs; 0 reads in the training's own process."""
    log_every: int = Field(default=10, ge=1)
    """Steps between two lines of stats.jsonl."""
    checkpoint_every: int = Field(default=250, ge=1)
    """Steps between two checkpoints."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """Number of checkpoints that stay on disk, the newest ones."""

    def _meaning(self, *optimisers: OptimiserConfig, free: Set[str] = frozenset()) -> dict[str, Any]:
        """The part of the config that decides what is learned, JSON-able."""
        # At constant rates a longer training begins exactly as the shorter one did.
        extendable = {"steps"} if all(one.schedule == "constant" for one in optimisers) else set()
        return self.model_dump(mode="json", exclude=_FREE | free | extendable)
