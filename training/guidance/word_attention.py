"""Where a word of the prompt is in an image: the cross-attention of a UNet2DConditionModel, as a mask.

    A(cell) = mean over timesteps, layers, heads, the word's tokens of softmax(q k^T / sqrt(d))[cell, token]

Layers of fewer cells are resized to the latent's. The map of each image is cut by Otsu's threshold, which
parts its values into the two groups of least variance. The paper has no released code of its masks; this is
the average that prompt-to-prompt (arXiv 2208.01626) and DAAM (arXiv 2210.04885) look at.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from transformers import CLIPTokenizer

from pairbridge.datagen.core.errors import ConfigError


def word_places(tokenizer: CLIPTokenizer, prompt: str, word: str, folder: Path) -> list[int]:
    """Places of the word's tokens among those of the prompt, each time that it stands there.

    Raises ConfigError for a word that does not; `folder`, of the tokenizer, is named in it.
    """
    tokens = tokenizer(prompt, truncation=True, max_length=tokenizer.model_max_length)["input_ids"]
    wanted = tokenizer(word, add_special_tokens=False)["input_ids"]
    count = len(wanted)
    found = [
        place + within
        for place in range(len(tokens) - count + 1)
        if count and tokens[place : place + count] == wanted
        for within in range(count)
    ]
    if not found:
        raise ConfigError(
            f"diffusion.mask_word {word!r} is no word of the first {tokenizer.model_max_length} tokens of the"
            f" prompt {prompt!r}, as the tokenizer of {folder} cuts it",
            consequence="no attention says where it is",
            remedy="name a word as the prompt has it: --set diffusion.mask_word=WORD, or another prompt",
        )
    return found


class WordAttention:
    """Sums up the attention that the cells of a latent pay to a word while it watches."""

    def __init__(self, unet: nn.Module, places: Sequence[int], cells: tuple[int, int]) -> None:
        """cells: (h, w) of the latents. Places of the word: `word_places`."""
        self._layers = [
            one for one in unet.modules() if isinstance(one, Attention) and one.is_cross_attention
        ]
        self._places, self._cells = list(places), cells
        self._sum: Tensor | float = 0.0
        self._count = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within it, every evaluation of the network counts."""
        hooks = [one.register_forward_pre_hook(self._add, with_kwargs=True) for one in self._layers]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @property
    def map(self) -> Tensor:
        """(B, 1, h, w): the mean share of attention."""
        return self._sum / self._count

    @torch.no_grad()
    def _add(self, layer: Attention, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        (states,) = inputs
        batch, count, _ = states.shape
        query = layer.head_to_batch_dim(layer.to_q(states))
        key = layer.head_to_batch_dim(layer.to_k(named["encoder_hidden_states"]))
        shares = layer.get_attention_scores(query, key)[..., self._places].float().mean(dim=-1)
        height, width = self._cells
        # Both sides are halved from level to level, and `path` pads them so that nothing is left over.
        halved = round((height * width / count) ** 0.5)
        seen = shares.reshape(batch, -1, count).mean(dim=1).reshape(batch, 1, height // halved, -1)
        self._sum = self._sum + F.interpolate(seen, self._cells, mode="bilinear")
        self._count += 1


def word_mask(attention: Tensor, cell: int, size: tuple[int, int]) -> np.ndarray:
    """uint8 (B, H, W), 255 where a map (B, 1, h, w) of cells of `cell` pixels is above Otsu's threshold; cut
    to `size` (H, W).
    """
    height, width = size
    grown = F.interpolate(attention, scale_factor=cell, mode="bilinear")[:, 0, :height, :width]
    low, high = grown.amin(dim=(1, 2), keepdim=True), grown.amax(dim=(1, 2), keepdim=True)
    levels = (255 * (grown - low) / (high - low).clamp(min=1e-12)).round().byte().cpu().numpy()
    return np.stack([cv2.threshold(one, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1] for one in levels])
