"""Masks from the cross-attention of a word, against a softmax by hand on a tiny random Stable Diffusion."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn
from transformers import CLIPTokenizer

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.guidance.guide_config import DiffusionConfig
from pairbridge.training.guidance.latent_diffusion import LatentDiffusion
from pairbridge.training.guidance.word_attention import WordAttention, word_mask, word_places
from tests.support.tiny_iclight import BASE, write_weights

PROMPT = "a photo of a cat"
# Of a tokenizer that knows single characters: start, a, p h o t o, o f, a, c a t.
CAT = [10, 11, 12]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = write_weights(tmp_path_factory.mktemp("sd")) / BASE
    DDIMScheduler(beta_schedule="scaled_linear").save_pretrained(base / "scheduler")
    return base


def images(*seeds: int) -> np.ndarray:
    coarse = [np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8) for seed in seeds]
    return np.stack([cv2.resize(one, (90, 60), interpolation=cv2.INTER_LINEAR) for one in coarse])


def projected(unet: nn.Module) -> tuple[dict[str, list[np.ndarray]], dict[str, list[np.ndarray]]]:
    """What every cross-attention's queries and keys come to, by the layer's name, as they are made."""
    queries, keys = {}, {}
    for name, layer in unet.named_modules():
        for kept, part in ((queries, "to_q"), (keys, "to_k")):
            if name.endswith(f"attn2.{part}"):
                kept[name[: -len(part) - 1]] = found = []
                layer.register_forward_hook(
                    lambda module, inputs, output, found=found: found.append(output.numpy())
                )
    return queries, keys


def by_hand(query: np.ndarray, key: np.ndarray, heads: int, cells: tuple[int, int]) -> np.ndarray:
    """(B, h, w) from (B, N, heads d) and (B, T, heads d)."""
    seen = np.zeros((len(query), *cells))
    width = query.shape[2] // heads
    halved = int((cells[0] * cells[1] / query.shape[1]) ** 0.5)
    for place in range(len(query)):
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            scores = query[place, :, part] @ key[place, :, part].T / width**0.5
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            shares /= shares.sum(axis=1, keepdims=True)
            small = shares[:, CAT].mean(axis=1).reshape(cells[0] // halved, cells[1] // halved)
            seen[place] += cv2.resize(small, cells[::-1], interpolation=cv2.INTER_LINEAR) / heads
    return seen


def test_the_map_is_the_softmax_of_queries_and_keys_and_leaves_the_network_as_it_is(folder: Path) -> None:
    diffusion = LatentDiffusion.load(folder, DiffusionConfig(prompt=PROMPT))
    x, cells = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(0)), (8, 12)
    text = diffusion.prompt.expand(2, -1, -1)
    attention = WordAttention(diffusion.unet, CAT, cells)
    with torch.no_grad(), attention.watching():
        watched = [diffusion.unet(x, step, encoder_hidden_states=text).sample for step in (500, 20)]
    queries, keys = projected(diffusion.unet)
    with torch.no_grad():
        plain = [diffusion.unet(x, step, encoder_hidden_states=text).sample for step in (500, 20)]
    assert all(torch.equal(a, b) for a, b in zip(watched, plain, strict=True))
    # Two sides of the UNet at the latent's size, and its middle at half of it.
    assert sorted({found[0].shape[1] for found in queries.values()}) == [24, 96]
    heads = {name: layer.heads for name, layer in diffusion.unet.named_modules() if name in queries}
    expected = np.mean(
        [
            by_hand(query, key, heads[name], cells)
            for name in queries
            for query, key in zip(queries[name], keys[name], strict=True)
        ],
        axis=0,
    )
    np.testing.assert_allclose(attention.map[:, 0].numpy(), expected, rtol=1e-4)
    assert expected.std(axis=(1, 2)).min() > 1e-6


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_the_inversion_under_the_prompt_makes_the_mask_and_each_image_its_own(
    folder: Path, scale: float
) -> None:
    """With a guidance scale too, where the network is also asked without a prompt."""
    config = DiffusionConfig(prompt=PROMPT, guidance_scale=scale, mask_word="cat")
    diffusion = LatentDiffusion.load(folder, config)
    watched = LatentDiffusion.load(folder, DiffusionConfig(prompt=PROMPT, guidance_scale=scale))
    queries, keys = projected(watched.unet)
    watched.path(images(1), steps=3, strength=0.5)
    # Under the prompt alone: the empty text is asked first.
    every = 1 if scale == 1 else 2
    heads = {name: layer.heads for name, layer in watched.unet.named_modules() if name in queries}
    cells = (8, 12)
    expected = np.mean(
        [
            by_hand(query, key, heads[name], cells)
            for name in queries
            for query, key in list(zip(queries[name], keys[name], strict=True))[every - 1 :: every]
        ],
        axis=0,
    )
    both = diffusion.path(images(1, 2), steps=3, strength=0.5).mask
    assert both.shape == (2, 60, 90)
    assert set(np.unique(both)) == {0, 255}
    wanted = word_mask(torch.from_numpy(expected).float()[:, None], 8, (60, 90))
    assert np.mean(both[:1] != wanted) < 0.01
    alone = diffusion.path(images(2), steps=3, strength=0.5).mask
    assert np.mean(both[1:] != alone) < 0.01
    assert watched.path(images(1), steps=3, strength=0.5).mask is None


def test_a_map_is_cut_between_its_two_groups() -> None:
    y, x = np.mgrid[:10, :14]
    disc = np.hypot(y - 4, x - 6) < 3
    noise = np.random.default_rng(0).normal(0, 0.03, (10, 14))
    attention: Tensor = torch.from_numpy(0.01 + 0.002 * (disc + noise)).float()[None, None]
    found = word_mask(attention, 8, (77, 112))[0]
    assert found.shape == (77, 112)
    # In the middle of a cell its own value stands, as nearly as bilinear weights give it.
    assert np.array_equal(found[4:77:8, 4::8] > 0, disc)


def test_words_are_found_where_the_prompt_has_them(folder: Path) -> None:
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    assert word_places(tokenizer, PROMPT, "cat", folder) == CAT
    assert word_places(tokenizer, PROMPT, "a", folder) == [1, 9]
    assert word_places(tokenizer, PROMPT, "a cat", folder) == [9, *CAT]
    for word in ("dog", "ca", ""):
        with pytest.raises(ConfigError, match="no word of the first 77 tokens"):
            word_places(tokenizer, PROMPT, word, folder)
    with pytest.raises(ConfigError, match="mask_word 'dog'"):
        LatentDiffusion.load(folder, DiffusionConfig(prompt=PROMPT, mask_word="dog"))
    with pytest.raises(ValueError, match="needs a prompt"):
        DiffusionConfig(mask_word="cat")
    with pytest.raises(ValueError, match="other than 0"):
        DiffusionConfig(prompt=PROMPT, mask_word="cat", guidance_scale=0)
