"""diffusers' networks as functions of (state and conditions, time), each in its own way, without text."""

import torch
import torch.nn.functional as F
from diffusers import (
    DiTTransformer2DModel,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    UNet2DConditionModel,
    UNet2DModel,
)
from torch import Tensor

# Times in [0, 1] are read as steps of a thousand, the range that sinusoidal embeddings were designed for.
TIME_SCALE = 1000.0

Backbone = (
    UNet2DModel
    | UNet2DConditionModel
    | DiTTransformer2DModel
    | SD3Transformer2DModel
    | FluxTransformer2DModel
)


def evaluate(network: Backbone, inputs: Tensor, t: Tensor) -> Tensor:
    """(B, channels_in, h, w) and t (B,) or (1,) -> the network's output (B, channels_out, h, w)."""
    time = t.expand(inputs.shape[0]) * TIME_SCALE
    if isinstance(network, UNet2DModel):
        return network(inputs, time).sample
    if isinstance(network, UNet2DConditionModel):
        return network(inputs, time, encoder_hidden_states=None).sample
    if isinstance(network, DiTTransformer2DModel):
        return _dit(network, inputs, time)
    text = inputs.new_zeros(inputs.shape[0], 1, network.config.joint_attention_dim)
    pooled = inputs.new_zeros(inputs.shape[0], network.config.pooled_projection_dim)
    if isinstance(network, SD3Transformer2DModel):
        return network(inputs, text, pooled, time).sample
    return _flux(network, inputs, time, text, pooled)


def _flux(
    network: FluxTransformer2DModel, inputs: Tensor, time: Tensor, text: Tensor, pooled: Tensor
) -> Tensor:
    """Cells of 2 x 2 are packed into tokens, channels first, as FLUX was trained."""
    rows, columns = (side // 2 for side in inputs.shape[-2:])
    places = torch.zeros(rows, columns, 3, device=inputs.device)
    places[..., 1] = torch.arange(rows, device=inputs.device)[:, None]
    places[..., 2] = torch.arange(columns, device=inputs.device)
    tokens = network(
        F.pixel_unshuffle(inputs, 2).flatten(2).transpose(1, 2),
        encoder_hidden_states=text,
        pooled_projections=pooled,
        # It multiplies by a thousand itself.
        timestep=time / TIME_SCALE,
        img_ids=places.flatten(0, 1),
        txt_ids=torch.zeros(1, 3, device=inputs.device),
    ).sample
    return F.pixel_shuffle(tokens.transpose(1, 2).unflatten(2, (rows, columns)), 2)


def _dit(network: DiTTransformer2DModel, inputs: Tensor, time: Tensor) -> Tensor:
    """The network's parts in the order of its own `forward`, which puts patches together as squares alone."""
    patch = network.config.patch_size
    rows, columns = (side // patch for side in inputs.shape[-2:])
    none = torch.full(inputs.shape[:1], network.config.num_embeds_ada_norm, device=inputs.device)
    hidden = network.pos_embed(inputs)
    for block in network.transformer_blocks:
        if torch.is_grad_enabled() and network.gradient_checkpointing:
            hidden = network._gradient_checkpointing_func(block, hidden, None, None, None, time, None, none)
        else:
            hidden = block(hidden, timestep=time, class_labels=none)
    embedded = network.transformer_blocks[0].norm1.emb(time, none, hidden_dtype=hidden.dtype)
    shift, scale = network.proj_out_1(F.silu(embedded)).chunk(2, dim=1)
    hidden = network.norm_out(hidden) * (1 + scale[:, None]) + shift[:, None]
    patches = network.proj_out_2(hidden).unflatten(1, (rows, columns)).unflatten(-1, (patch, patch, -1))
    return torch.einsum("nhwpqc->nchpwq", patches).flatten(4, 5).flatten(2, 3)
