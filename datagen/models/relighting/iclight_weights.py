"""From a weights folder to IC-Light's networks: the published offsets on a Stable Diffusion 1.5 base.

The folder holds the base in diffusers' layout (`unet/`, `vae/`, `text_encoder/`, `tokenizer/`) and the
offsets as one safetensors file. Everything is read from there: no network, no pickle, no code.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils.logging import disable_progress_bar

from pairbridge.datagen.models.relighting.iclight_settings import BASE_FILES, IcLightConfig
from pairbridge.datagen.models.torch_runtime import require_device
from pairbridge.datagen.models.weights.pretrained import load_preprocessor, load_pretrained
from pairbridge.datagen.models.weights.weight_folders import WeightsError, identity, require
from pairbridge.datagen.models.weights.weights_in_use import read_twice

LATENT_CHANNELS = 4
# Conditions beside the noise: foreground and background, or the foreground alone.
CONDITIONS = {"iclight_fbc": 2, "iclight_fc": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class IcLightModels:
    """One network pair, frozen, in evaluation mode.

    `text` is (2, T, C): the encoded negative prompt, then the positive one. `revision` names the weights.
    """

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text: Tensor
    revision: str
    device: torch.device
    in_turn: bool

    @property
    def factor(self) -> int:
        """Pixels per latent along a side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @contextmanager
    def at_work(self, model: nn.Module) -> Iterator[Any]:
        """`model` on its device; with `in_turn` it leaves again afterwards, and makes room for the other."""
        yield model.to(self.device)
        if self.in_turn:
            model.to("cpu")


def load_models(config: IcLightConfig) -> IcLightModels:
    """Networks and encoded prompts of `config`. Raises WeightsError for what is missing or does not fit, and
    ConfigError where CUDA is asked for and absent.

    On the host this takes the base UNet in float32 (3.4 GB) while it is merged; afterwards what is kept.
    """
    base, offsets = config.base_folder, config.offsets_file
    require(base, *BASE_FILES)
    require(offsets.parent, offsets.name)
    half = config.precision == "half"
    device = require_device(config.device, "relighter")
    prompt = ", ".join(part for part in (config.prompt, config.added_prompt) if part)
    text = encode_prompts(base, (config.negative_prompt, prompt))
    unet = merged_unet(base / "unet", offsets, CONDITIONS[config.kind])
    # The autoencoder in bfloat16 and not float16: half precision's range is too small for some decoders.
    vae = _load(AutoencoderKL, base / "vae", torch.bfloat16 if half else torch.float32)
    # Merged first and cast after; torch's own `to`, because diffusers' warns of every cast.
    unet = nn.Module.to(unet, torch.float16 if half else torch.float32)
    in_turn = config.loaded == "in_turn"
    if not in_turn:
        unet, vae = unet.to(device), vae.to(device)
    return IcLightModels(
        unet=unet,
        vae=vae,
        text=text.to(device, unet.dtype),
        revision=f"{identity(offsets.parent, offsets.name)} on {identity(base, *BASE_FILES)}",
        device=device,
        in_turn=in_turn,
    )


def merged_unet(base_folder: Path, offsets: Path, num_conditions: int) -> UNet2DConditionModel:
    """The base UNet with widened `conv_in`, and the offset of every key added, in float32.

    `conv_in` takes 4 (1 + num_conditions) channels: the first four are the base's, the others start from
    zero, and the bias stays. Raises WeightsError unless the offsets have exactly the keys and shapes of the
    widened network: added to some keys only, they would give a network nobody trained.
    """
    unet = _load(UNet2DConditionModel, base_folder)
    _widen(unet, LATENT_CHANNELS * (1 + num_conditions))
    state = unet.state_dict()
    try:
        opened = read_twice(offsets, lambda: safe_open(offsets, framework="pt"))
        with opened as stored, torch.no_grad():
            _refuse_other_keys(offsets, set(stored.keys()), set(state))
            for key, value in state.items():
                offset = stored.get_tensor(key)
                if offset.shape != value.shape:
                    raise _unfit(
                        offsets, f"{key} has shape {tuple(offset.shape)}, the base's {tuple(value.shape)}"
                    )
                value.add_(offset.to(torch.float32))
    except (OSError, SafetensorError) as error:
        raise _unfit(offsets, f"it cannot be read ({error})") from error
    return unet


def encode_prompts(base: Path, prompts: tuple[str, str]) -> Tensor:
    """(2, 77 n, C) float32: the last hidden states of (negative, positive), n chunks of 75 tokens each.

    Long prompts are encoded chunk by chunk, padded with the end token, and the shorter prompt's chunks are
    repeated, as in IC-Light's demonstrations; up to 75 tokens this is the plain encoding. The text encoder is
    let go afterwards: prompts belong to the settings, so it has nothing more to do.
    """
    disable_progress_bar()  # a worker's log has no cursor to move
    tokenizer = load_preprocessor(CLIPTokenizer, base / "tokenizer", _unfit)
    encoder = _load(CLIPTextModel, base / "text_encoder")
    encoded = []
    for prompt in prompts:
        chunks = _chunks(tokenizer, prompt)
        with torch.no_grad():
            encoded.append(encoder(torch.tensor(chunks)).last_hidden_state)
    count = max(len(states) for states in encoded)
    repeated = [states.repeat(-(-count // len(states)), 1, 1)[:count] for states in encoded]
    return torch.stack([states.flatten(0, 1) for states in repeated])


def _chunks(tokenizer: CLIPTokenizer, prompt: str) -> list[list[int]]:
    tokens = tokenizer(prompt, truncation=False, add_special_tokens=False)["input_ids"]
    length = tokenizer.model_max_length
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    chunks = [tokens[at : at + length - 2] for at in range(0, max(len(tokens), 1), length - 2)]
    return [[start, *chunk, *[end] * (length - 1 - len(chunk))] for chunk in chunks]


def _widen(unet: UNet2DConditionModel, channels: int) -> None:
    narrow = unet.conv_in
    wide = nn.Conv2d(
        channels, narrow.out_channels, narrow.kernel_size, narrow.stride, narrow.padding, dtype=torch.float32
    )
    with torch.no_grad():
        wide.weight.zero_()
        wide.weight[:, : narrow.in_channels].copy_(narrow.weight)
        wide.bias.copy_(narrow.bias)
    unet.conv_in = wide.requires_grad_(False)
    unet.register_to_config(in_channels=channels)


def _load(kind: type, folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    # transformers and diffusers disagree about this argument's name, and diffusers about its need.
    options = (
        {"dtype": dtype} if kind is CLIPTextModel else {"torch_dtype": dtype, "low_cpu_mem_usage": False}
    )
    return load_pretrained(kind, folder, _unfit, **options)


def _refuse_other_keys(offsets: Path, found: set[str], wanted: set[str]) -> None:
    for what, keys in (("lacks", wanted - found), ("has unknown", found - wanted)):
        if keys:
            shown = ", ".join(sorted(keys)[:3])
            raise _unfit(offsets, f"it {what} {len(keys)} of the base UNet's keys: {shown}")


def _unfit(path: Path, cause: str) -> WeightsError:
    return WeightsError(
        f"{path}: {cause}",
        consequence="IC-Light cannot be built from it",
        remedy="run `pairbridge weights check`; base and offsets must both be of Stable Diffusion 1.5",
    )
