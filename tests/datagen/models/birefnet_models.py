"""BiRefNet folders in the published layout, small, whose masks are known: they find what is red."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from pairbridge.datagen.models.matting.birefnet_network import BiRefNet
from pairbridge.datagen.models.matting.swin import SwinShape

TINY = SwinShape(embed_dim=8, depths=(1, 1, 2, 1), num_heads=(1, 1, 2, 2), window=4)
# Logits are GAIN * (red - blue) + BIAS of normalised colours.
GAIN, BIAS = 2.0, -1.0


def red_finder_state() -> dict[str, torch.Tensor]:
    """Random weights everywhere, and a last layer that reads red minus blue off the image's own branch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = BiRefNet(TINY).state_dict()
    for name in ("conv1", "conv_out"):
        state[f"decoder.ipt_blk1.{name}.weight"].zero_()
        state[f"decoder.ipt_blk1.{name}.bias"].zero_()
    state["decoder.ipt_blk1.conv1.weight"][0, :, 1, 1] = torch.tensor([1.0, 0.0, -1.0])
    state["decoder.ipt_blk1.conv_out.weight"][0, 0, 1, 1] = 1
    last = state["decoder.conv_out1.0.weight"]
    last.zero_()
    # The image's branch comes after the decoder's own channels.
    last[0, TINY.embed_dim] = GAIN
    state["decoder.conv_out1.0.bias"].fill_(BIAS)
    return state


def write_folder(folder: Path, state: dict[str, torch.Tensor]) -> Path:
    """model.safetensors in half precision, as the larger published weights are, and config.json."""
    folder.mkdir(parents=True)
    half = {
        key: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for key, tensor in state.items()
    }
    save_file(half, folder / "model.safetensors")
    backbone = {name: getattr(TINY, name) for name in TINY.__slots__}
    (folder / "config.json").write_text(json.dumps({"architectures": ["BiRefNet"], "backbone": backbone}))
    return folder
