"""What a step would wait for on a GPU, seen without one, on torch's meta device.

A number read from the device, or an operation whose shape depends on its values, fails there by itself. What
is left is noted here: copies from the host that are not queued, and constants that are made of Python numbers
on the device, which torch makes on the host and copies.
"""

from typing import Any, Self

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_TO, _INTO = torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default


class Waits:
    """A context; afterwards `found` says what was waited for."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._modes = (_Copies(self.found), _Constants(self.found))

    def __enter__(self) -> Self:
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)


class _Copies(TorchDispatchMode):
    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self._found = found

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None) -> Any:
        kwargs = kwargs or {}
        made = operation(*args, **kwargs)
        if operation in (_TO, _INTO):
            devices = {leaf.device for leaf in tree_leaves((args, made)) if isinstance(leaf, Tensor)}
            queued = args[2:] == (True,) if operation is _INTO else kwargs.get("non_blocking", False)
            if len(devices) > 1 and not queued:
                self._found.append(f"a copy of shape {tuple(made.shape)}")
        return made


class _Constants(TorchFunctionMode):
    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(self, function, types, args=(), kwargs=None) -> Any:
        made = function(*args, **(kwargs or {}))
        if function in (torch.tensor, torch.as_tensor) and made.device.type != "cpu":
            self._found.append(f"a constant of shape {tuple(made.shape)}")
        return made
