"""Batches of a loader on this rank's device: each on its way there while the step before it computes.

The loader's threads decode ahead of the training, into pinned memory. From there a batch goes to the GPU on a
stream of its own, which is queued when the batch is asked for: the host is a step ahead of the device by
then, for nothing in a step waits (see `engine_run`). No batch is asked for before its step, so an error of
the loader comes when its batch would.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from pairbridge.training.data.loader import MixedLoader
from pairbridge.training.data.tensors import Batch, with_tensors
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
            there = with_tensors(batch, lambda tensor: to_device(tensor, device))
        steps = torch.cuda.current_stream(device)
        steps.wait_stream(copies)
        for tensor in _tensors(there):
            # Or its memory would be taken for the next copy while this step still reads it.
            tensor.record_stream(steps)
        yield there


def _tensors(batch: Batch) -> Iterator[Tensor]:
    yield from (value for value in batch.values() if isinstance(value, Tensor))
    yield from batch.get("latents", {}).values()
