"""How torch runs in a worker: its device, and its number of CPU threads, held fixed where results must not
depend on the machine."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pairbridge.datagen.core.errors import ConfigError


@contextmanager
def fixed_threads(count: int) -> Iterator[None]:
    """`count` threads inside: with another number the last bit of a sum may change."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def require_device(wanted: str, model: str) -> torch.device:
    """The device `wanted` (cpu or cuda) for a model. Raises ConfigError for a GPU that is not there."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"the {model}'s `device` is cuda, and torch finds no GPU",
            consequence="the model cannot be loaded, and no pair could be made with it",
            remedy="set `device` to cpu, or run where `pairbridge doctor` finds a GPU",
        )
    return torch.device(wanted)
