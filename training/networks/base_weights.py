"""Published weights as the start of a training: the surgery between their network and ours.

What published networks share with ours is kept tensor by tensor. Inputs that they lack, those of conditions,
start at zero, so that training begins with what the weights do without them. Their output layer is not kept:
it predicts noise, or noise minus image, and a bridge's field is neither. From SDXL's own layer training would
start far from "output = input", the right place for translation; from zero it starts there. A bridge that
this project published predicts the field already and keeps its output layer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from pairbridge.datagen.core.bounded_json import read_json_object
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.json_digest import digest, file_sha256
from pairbridge.datagen.core.limits import MAX_SIDE_JSON_BYTES
from pairbridge.datagen.models.weights.weights_in_use import read_twice


def _unchanged(base: dict[str, Tensor]) -> dict[str, Tensor]:
    return base


@dataclass(frozen=True, slots=True, kw_only=True)
class Surgery:
    """Where a network of ours differs from the published one, in names of tensors.

    input: the weight that reads the latent and the conditions. head: the output layer. cells: latent cells
    that are packed into one input. resized: endings of weights whose inputs are cut, or filled with zeros.
    dropped: beginnings of what only text, sizes, crops or classes need. folded: what else becomes of
    published tensors before they are named.
    """

    input: str = "conv_in.weight"
    head: str = "conv_out."
    cells: int = 1
    resized: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    folded: Callable[[dict[str, Tensor]], dict[str, Tensor]] = _unchanged


def load_base(network: nn.Module, folder: Path, surgery: Surgery, *, latent_channels: int) -> None:
    """Fill `network` with the weights of a diffusers folder. Raises ConfigError where they do not fit."""
    wanted = network.state_dict()
    operated = operate(
        _read_weights(folder),
        wanted,
        folder,
        surgery,
        latent_channels=latent_channels,
        keeps_head=_is_bridge(folder),
    )
    network.load_state_dict(operated)


def operate(
    base: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    folder: Path,
    surgery: Surgery,
    *,
    latent_channels: int,
    keeps_head: bool = False,
) -> dict[str, Tensor]:
    """`base` with the keys and shapes of `wanted`, tensor by tensor.

    Raises ConfigError that names the first tensors that fit nowhere; nothing is dropped in silence but what
    `surgery` names, and the values of the output layer unless `keeps_head`.
    """
    kept = {
        key: value
        for key, value in surgery.folded(dict(base)).items()
        if not (surgery.dropped and key.startswith(surgery.dropped))
    }
    missing, foreign = sorted(wanted.keys() - kept.keys()), sorted(kept.keys() - wanted.keys())
    if missing or foreign:
        raise _unfit(folder, f"it lacks {missing[:3]} and has {foreign[:3]} beside them")
    operated = {}
    for key, target in wanted.items():
        value = kept[key]
        if key.startswith(surgery.head) and not keeps_head:
            # Where it also predicts a variance (DiT) it has other outputs.
            operated[key] = target.new_zeros(target.shape)
            continue
        if key == surgery.input:
            _check_inputs(value.shape[1], target.shape[1], surgery.cells * latent_channels, folder)
        if value.shape != target.shape:
            resized = key == surgery.input or (surgery.resized and key.endswith(surgery.resized))
            if not resized or value.shape[:1] + value.shape[2:] != target.shape[:1] + target.shape[2:]:
                raise _unfit(folder, f"{key} is {tuple(value.shape)} and should be {tuple(target.shape)}")
            value = resize_inputs(value, target.shape[1])
        operated[key] = value.to(target.dtype)
    return operated


def _check_inputs(there: int, wanted: int, latent: int, folder: Path) -> None:
    if there > wanted:
        raise _unfit(folder, f"it reads {there} channels, more than the {wanted} here")
    if there < latent:
        raise _unfit(folder, f"it reads {there} channels, and the autoencoder's latents have {latent}")


def resize_inputs(value: Tensor, count: int) -> Tensor:
    """`value` (out, in, ...) with `count` inputs: the first ones, then zeros."""
    shared = min(count, value.shape[1])
    resized = value.new_zeros(value.shape[0], count, *value.shape[2:])
    resized[:, :shared] = value[:, :shared]
    return resized


def base_digest(folder: Path) -> str:
    """Changes with any byte of the folder's weights. Raises ConfigError without one."""
    files = _weight_files(folder)
    return digest({path.name: read_twice(path, partial(file_sha256, path)) for path in files})


def _is_bridge(folder: Path) -> bool:
    """Whether the folder is the network of a model that `pairbridge publish` wrote."""
    try:
        index = read_json_object(folder.parent / "model_index.json", MAX_SIDE_JSON_BYTES)
    except (OSError, ValueError):
        return False
    return index.get("_class_name") == "LatentBridgePipeline"


def _read_weights(folder: Path) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    try:
        for path in _weight_files(folder):
            with read_twice(path, partial(safe_open, path, framework="pt")) as file:
                weights |= {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise _unfit(folder, str(error)) from error
    return weights


def _weight_files(folder: Path) -> list[Path]:
    """The safetensors files: those that an index names, or one; fp16 variants beside them are left alone."""
    indexes = sorted(folder.glob("*.safetensors.index.json"))
    if indexes:
        try:
            names = set(read_json_object(indexes[0], MAX_SIDE_JSON_BYTES)["weight_map"].values())
            if any(not isinstance(name, str) or Path(name).name != name for name in names):
                raise ValueError("it names files that are not beside it")
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise _unfit(folder, f"{indexes[0].name} is no index of weights ({error})") from error
        return [folder / name for name in sorted(names)]
    files = sorted(folder.glob("*.safetensors"))
    whole = [path for path in files if path.name == "diffusion_pytorch_model.safetensors"] or files[:1]
    if not whole:
        raise _unfit(folder, "it holds no *.safetensors file")
    return whole


def _unfit(folder: Path, why: str) -> ConfigError:
    return ConfigError(
        f"base weights {folder}: {why}",
        consequence="training would start from other weights than were asked for",
        remedy="point denoiser.base at the unet or transformer folder of a model in diffusers' layout whose"
        " topology the denoiser's keys describe, or set it to null to start from random weights",
    )
