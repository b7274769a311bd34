"""The number of CPU threads torch works with, held fixed where results must not depend on the machine."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def fixed_threads(count: int) -> Iterator[None]:
    """`count` threads inside: with another number the last bit of a sum may change."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
