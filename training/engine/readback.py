"""Numbers on their way from the device to the host, asked for in one step and read in the next.

Reading a number from a GPU waits for everything queued before it. Here the copy is queued like any other
work, and by the time it is read the next step is queued behind it: the device never runs dry.
"""

from collections.abc import Mapping

import torch
from torch import Tensor


class Readback:
    """Named tensors of any shape, flat, copied without waiting."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._sizes = {name: tensor.numel() for name, tensor in tensors.items()}
        values = torch.cat([tensor.detach().float().reshape(-1) for tensor in tensors.values()])
        self._event: torch.cuda.Event | None = None
        if values.device.type == "cuda":
            host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            host.copy_(values, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()
            values = host
        self._values = values

    def read(self) -> dict[str, list[float]]:
        """The numbers, once the work that they depend on is done; waits for no later work."""
        if self._event is not None:
            self._event.synchronize()
        flat, found = self._values.tolist(), {}
        for name, size in self._sizes.items():
            found[name], flat = flat[:size], flat[size:]
        return found
