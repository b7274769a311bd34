"""BiRefNet's weights from a local folder: safetensors alone, every key accounted for, nothing executed."""

from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pairbridge.datagen.core.bounded_json import read_json_object
from pairbridge.datagen.core.limits import MAX_SIDE_JSON_BYTES
from pairbridge.datagen.models.matting.birefnet_config import CONFIG_NAME, WEIGHTS_NAME
from pairbridge.datagen.models.matting.birefnet_network import BiRefNet
from pairbridge.datagen.models.matting.swin import SWIN_LARGE, SWIN_TINY, SwinShape
from pairbridge.datagen.models.weights.weight_folders import WeightsError
from pairbridge.datagen.models.weights.weights_in_use import read_twice

# Backbones of the published weights, told apart by the width of their first layer.
_PUBLISHED = {shape.embed_dim: shape for shape in (SWIN_TINY, SWIN_LARGE)}
_FIRST_LAYER = "bb.patch_embed.proj.weight"
# Wrappers for training leave these before every key.
_WRAPPERS = ("module.", "_orig_mod.")
# Keys of one kind that an error names; thousands may be wrong.
_NAMED = 6


def load_network(folder: Path) -> BiRefNet:
    """The network with the folder's weights: float32, on the CPU, in evaluation mode.

    The backbone is one of the published ones, or what `backbone` in the folder's config.json describes (the
    fields of `SwinShape`). Raises WeightsError for a file that is broken, and for missing, surplus or
    misshapen tensors, by name.
    """
    path = folder / WEIGHTS_NAME
    try:
        state = read_twice(path, lambda: load_file(path))
    except (OSError, SafetensorError) as error:
        raise _unusable(path, str(error)) from error
    state = {_unwrapped(key): tensor for key, tensor in state.items()}
    # Without memory and without random numbers: all tensors come from the file.
    with torch.device("meta"):
        network = BiRefNet(_backbone(folder, state))
    _check(path, network.state_dict(), state)
    network.load_state_dict(state, assign=True)
    return network.float().requires_grad_(False).eval()


def _backbone(folder: Path, state: dict[str, Tensor]) -> SwinShape:
    path = folder / CONFIG_NAME
    try:
        described = read_json_object(path, MAX_SIDE_JSON_BYTES).get("backbone") if path.exists() else None
        if described is not None:
            return TypeAdapter(SwinShape).validate_python(described)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, ("backbone", *first["loc"])))
        raise _unusable(path, f"{where}: {first['msg']}") from error
    except (OSError, ValueError, AttributeError) as error:
        raise _unusable(path, str(error)) from error
    width = next(iter(state[_FIRST_LAYER].shape), 0) if _FIRST_LAYER in state else 0
    if width not in _PUBLISHED:
        raise _unusable(
            folder / WEIGHTS_NAME,
            f"{_FIRST_LAYER} has {width} channels, where the published backbones have "
            f"{' or '.join(map(str, _PUBLISHED))}, and {CONFIG_NAME} describes no other under `backbone`",
        )
    return _PUBLISHED[width]


def _check(path: Path, expected: dict[str, Tensor], state: dict[str, Tensor]) -> None:
    both = [(key, tensor, state[key]) for key, tensor in expected.items() if key in state]
    problems = {
        "missing": sorted(expected.keys() - state.keys()),
        "not part of the network": sorted(state.keys() - expected.keys()),
        "of another shape": [
            f"{key} {list(found.shape)} instead of {list(tensor.shape)}"
            for key, tensor, found in both
            if found.shape != tensor.shape
        ],
        "of another kind of number": [
            f"{key} {found.dtype} instead of {tensor.dtype}"
            for key, tensor, found in both
            if found.is_floating_point() != tensor.is_floating_point()
        ],
    }
    found = [f"{len(keys)} {what}: {_some(keys)}" for what, keys in problems.items() if keys]
    if found:
        raise _unusable(path, "; ".join(found))


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return ", ".join(keys[:_NAMED]) + more


def _unwrapped(key: str) -> str:
    for wrapper in _WRAPPERS:
        key = key.removeprefix(wrapper)
    return key


def _unusable(path: Path, why: str) -> WeightsError:
    return WeightsError(
        f"{path} does not hold a BiRefNet: {why}",
        consequence="a network loaded in part gives masks that look like masks and mean nothing",
        remedy="run `pairbridge weights check`, and fetch the folder again if it is damaged; architectures "
        "other than BiRefNet's with a Swin backbone are not known",
    )
