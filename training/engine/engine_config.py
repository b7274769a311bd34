"""What every training here can be told about its course, whatever it trains."""

from collections.abc import Set
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.training.engine.ema import EmaSettings
from pairbridge.training.engine.optimiser import OptimiserConfig
from pairbridge.training.engine.parallel import Layout
from pairbridge.training.engine.torch_devices import Precision

# How fast a training goes and what it says of itself: these may change when it resumes.
_FREE = {
    *("accumulate", "gradient_checkpointing", "device", "ema_device", "threads", "loader_workers", "watch"),
    *("parallel", "cpu_offload", "log_every", "checkpoint_every", "keep_checkpoints", "max_skipped_in_row"),
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
    ema_every: int = Field(default=1, ge=1)
    """Steps from one update of the EMA to the next; the half-life stays what it is."""
    ema_precision: Literal["fp32", "bf16"] = "fp32"
    """Precision that the EMA is kept in. `bf16` takes half of the memory and is rounded up or down at random,
    as rounding to the nearest would make it stand still."""
    ema_device: Literal["weights", "cpu"] = "weights"
    """Where the EMA is kept: beside the weights, or in the host's memory, towards which every update copies
    the weights."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device that the training runs on; `cuda` takes one GPU per rank."""
    accumulate: int = Field(default=1, ge=1)
    """Number of parts in which a rank's batch passes through the network before an optimiser step (gradient
    accumulation). It saves memory and may change when a run resumes."""
    gradient_checkpointing: bool = False
    """Whether activations are computed again in the backward pass: less memory, about a third more time."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """Layout of the networks over the ranks of torchrun. `ddp`: each rank holds all weights. `fsdp`: weights,
    gradients, optimiser and EMA are sharded, for networks that do not fit one GPU; `precision: bf16` gathers
    bf16 weights and sums gradients in float32."""
    cpu_offload: bool = False
    """Whether the shards of `fsdp`, their gradients and optimiser state stay in the host's memory, from where
    weights go to the GPU block by block; of one process too, under torchrun."""
    threads: int = Field(default=2, ge=1)
    """CPU threads of torch in each rank's process."""
    loader_workers: int = Field(default=1, ge=0)
    """Threads per rank that read and decode pairs ahead of the training; 0 reads a batch when it is asked
    for."""
    max_skipped_in_row: int = Field(default=5, ge=0)
    """Steps in a row that may be skipped because their gradient is NaN or infinite; one more ends the
    training. A skipped step changes no weight, and the lines of stats.jsonl count it."""
    log_every: int = Field(default=10, ge=1)
    """Steps between two lines of stats.jsonl."""
    checkpoint_every: int = Field(default=250, ge=1)
    """Steps between two checkpoints."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """Number of checkpoints that stay on disk, the newest ones."""

    @model_validator(mode="after")
    def _check_offload(self) -> Self:
        if self.cpu_offload and self.parallel != "fsdp":
            raise ValueError("cpu_offload is FSDP2's: set parallel: fsdp")
        return self

    def layout_in(self, precision: Precision, *, compiled: bool = False) -> Layout:
        """How a network that is evaluated in `precision` lies over the ranks."""
        return Layout(kind=self.parallel, precision=precision, cpu_offload=self.cpu_offload, compile=compiled)

    def ema_settings(self, batch_size: float) -> EmaSettings:
        """The EMA of a training whose steps see `batch_size` images."""
        return EmaSettings(
            half_life=self.ema_half_life_images / batch_size,
            every=self.ema_every,
            precision=self.ema_precision,
            device=self.ema_device,
            seed=self.seed,
        )

    def _meaning(self, *optimisers: OptimiserConfig, free: Set[str] = frozenset()) -> dict[str, Any]:
        """The part of the config that decides what is learned, JSON-able."""
        # At constant rates a longer training begins exactly as the shorter one did.
        extendable = {"steps"} if all(one.schedule == "constant" for one in optimisers) else set()
        return self.model_dump(mode="json", exclude=_FREE | free | extendable)
