"""Batches of a loader on this rank's device: each on its way there while the step before it computes.

Loader processes decode ahead of the training, and torch's own thread brings what they hand over into pinned
memory. From there a batch goes to the GPU on a stream of its own, which is queued when the batch is asked
for: the host is a step ahead of the device by then, for nothing in a step waits (see `engine_run`). No batch
is asked for before its step, so an error of the loader comes when its batch would.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from pairbridge.training.data.loader import MixedLoader
from pairbridge.training.data.tensors import Batch
from pairbridge.training.engine.torch_devices import to_device


def device_batches(loader: MixedLoader, start: int, device: torch.device) -> Iterator[Batch]:
    """`loader.batches(start)`, on `device` if that is a GPU; on the CPU as they are."""
    if device.type == "cpu":
        return loader.batches(start)
    return _copied(loader.batches(start, pinned=True), device)


def _copied(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    copies = torch.cuda.Stream(device)
    for batch in batches:
        with torch.cuda.stream(copies):
            there = _moved(batch, device)
        steps = torch.cuda.current_stream(device)
        steps.wait_stream(copies)
        for tensor in _tensors(there):
            # Or its memory would be taken for the next copy while this step still reads it.
            tensor.record_stream(steps)
        yield there


def _moved(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors there, those of cached latents among them."""
    moved = {name: to_device(value, device) for name, value in batch.items() if isinstance(value, Tensor)}
    latents = {"latents": _moved(batch["latents"], device)} if "latents" in batch else {}
    return {**batch, **moved, **latents}


def _tensors(batch: Batch) -> Iterator[Tensor]:
    yield from (value for value in batch.values() if isinstance(value, Tensor))
    yield from batch.get("latents", {}).values()
