"""Small networks are fastest on one thread, and tests must not depend on how many cores a machine has."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    torch.set_num_threads(1)
