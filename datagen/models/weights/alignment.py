"""Weights mapped from a file lie where its header ends, which decides the last bits of a result."""

from typing import Any

_CACHE_LINE = 64


def aligned(network: Any) -> Any:
    """A `network` of torch itself, every weight at an address that torch's own allocator would give.

    Kernels of the CPU take the elements before the first aligned one by another path, so that sums round
    otherwise: the same weights read from two files, of which one is mapped, gave images one byte apart.
    """
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.device.type == "cpu" and tensor.data_ptr() % _CACHE_LINE:
            tensor.data = tensor.data.clone()
    return network
