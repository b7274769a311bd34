"""BiRefNet's network against the published layout and logits; its deformable convolution in closed form."""

import json
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pairbridge.datagen.models.matting.birefnet_network import BiRefNet
from pairbridge.datagen.models.matting.deformable import deform_conv2d, torchvision_kernel
from pairbridge.datagen.models.matting.swin import SWIN_LARGE, SWIN_TINY, Swin, SwinShape

FIXTURES = Path(__file__).parents[2] / "fixtures" / "birefnet"
SMALL = SwinShape(embed_dim=8, depths=(2, 2, 2, 2), num_heads=(1, 1, 2, 2), window=4)


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def fill(network: torch.nn.Module) -> torch.nn.Module:
    """Every floating tensor from its key's own seed, as tests/fixtures/birefnet was computed."""
    for key, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            continue
        drawn = noise(zlib.crc32(key.encode()), *tensor.shape)
        if key.endswith("running_var"):
            drawn = 1 + 0.1 * drawn.abs()
        elif drawn.ndim >= 2:
            drawn = drawn / drawn[0].numel() ** 0.5
        else:
            drawn = 0.1 * drawn + (1 if key.endswith(".weight") else 0)
        tensor.copy_(drawn)
    return network.eval()


@pytest.mark.parametrize(("shape", "name"), [(SWIN_TINY, "swin_v1_t"), (SWIN_LARGE, "swin_v1_l")])
def test_keys_and_shapes_are_those_of_the_published_weights(shape: SwinShape, name: str) -> None:
    published = json.loads((FIXTURES / f"{name}_state_dict_shapes.json").read_text())
    with torch.device("meta"):
        state = BiRefNet(shape).state_dict()
    assert {key: list(tensor.shape) for key, tensor in state.items()} == published


def test_logits_are_those_of_the_published_network() -> None:
    published = np.load(FIXTURES / "swin_v1_t_logits_128.npz")["logits"]
    with torch.inference_mode():
        logits = fill(BiRefNet(SWIN_TINY))(noise(0, 1, 3, 128, 128)).numpy()
    # 1e-3 is what is promised; measured 1e-6, while the logits spread by 0.43.
    assert np.abs(logits - published).max() < 1e-4


def test_half_precision_stays_close() -> None:
    # As on a GPU: 0.002 measured, where logits spread by 0.6. Sampling places in half precision would not do.
    network = fill(BiRefNet(SMALL))
    image = noise(14, 1, 3, 128, 128)
    with torch.inference_mode():
        full, half = network(image), network.half()(image.half())
    assert half.dtype == torch.float16
    assert (full - half.float()).abs().max() < 0.01


def test_images_of_a_batch_do_not_touch() -> None:
    network = fill(BiRefNet(SMALL))
    images = noise(1, 2, 3, 96, 64)
    with torch.inference_mode():
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    assert together.shape == (2, 1, 96, 64)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 160), (224, 96)])
def test_the_backbone_halves_four_times_whatever_the_windows(height: int, width: int) -> None:
    with torch.inference_mode():
        maps = fill(Swin(SMALL))(noise(2, 1, 3, height, width))
    assert [tuple(each.shape[1:]) for each in maps] == [
        (8 << stage, height >> (2 + stage), width >> (2 + stage)) for stage in range(4)
    ]


def test_attention_stays_within_its_window_and_its_shifted_neighbours() -> None:
    # One stage of two blocks on 16x16 tokens: windows of 4, then shifted by 2. A change in the first token
    # reaches its window, then the windows that overlap it after the shift: tokens 0 to 5 either way. The
    # shift's wrap-around joins it to the last tokens, and the mask must keep them apart.
    stage = fill(Swin(SMALL)).layers[0].double()
    tokens = noise(3, 1, 16, 16, 8).double()
    changed = tokens.clone()
    changed[0, 0, 0] = -changed[0, 0, 0]
    with torch.inference_mode():
        reached = (stage(changed) - stage(tokens)).abs().amax(-1)[0] > 0
    assert reached[:4, :4].all()
    assert reached[:6, :6].any()
    assert not reached[6:].any()
    assert not reached[:, 6:].any()


@pytest.mark.parametrize("size", [1, 3, 7])
def test_without_offsets_it_is_a_convolution(size: int) -> None:
    x, weight = noise(4, 2, 5, 9, 11), noise(5, 6, 5, size, size)
    offset, modulation = torch.zeros(2, 2 * size * size, 9, 11), torch.ones(2, size * size, 9, 11)
    expected = F.conv2d(x, weight, padding=size // 2)
    torch.testing.assert_close(deform_conv2d(x, offset, modulation, weight), expected, rtol=1e-4, atol=1e-4)


def test_offsets_and_modulation_follow_the_definition() -> None:
    """Against the sum of the paper's equation 1, sample by sample, offsets reaching outside included."""
    batch, channels, out, height, width, size = 2, 2, 3, 4, 5, 3
    x, weight = noise(6, batch, channels, height, width).numpy(), noise(7, out, channels, size, size).numpy()
    offset = 2 * noise(8, batch, 2 * size * size, height, width).numpy()
    modulation = noise(9, batch, size * size, height, width).sigmoid().numpy()

    def at(image: np.ndarray, y: int, x: int) -> np.ndarray:
        inside = 0 <= y < height and 0 <= x < width
        return image[:, y, x] if inside else np.zeros(channels, np.float32)

    expected = np.zeros((batch, out, height, width))
    for b, y, column, place in np.ndindex(batch, height, width, size * size):
        row, across = divmod(place, size)
        down = y + row - 1 + offset[b, 2 * place, y, column]
        right = column + across - 1 + offset[b, 2 * place + 1, y, column]
        top, left = int(np.floor(down)), int(np.floor(right))
        v, u = down - top, right - left
        sample = (1 - v) * ((1 - u) * at(x[b], top, left) + u * at(x[b], top, left + 1))
        sample = sample + v * ((1 - u) * at(x[b], top + 1, left) + u * at(x[b], top + 1, left + 1))
        expected[b, :, y, column] += modulation[b, place, y, column] * weight[:, :, row, across] @ sample
    found = deform_conv2d(*(torch.from_numpy(each) for each in (x, offset, modulation, weight)))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_torchvisions_kernel_is_the_same(device: str) -> None:
    kernel = torchvision_kernel()
    if kernel is None or (device == "cuda" and not torch.cuda.is_available()):
        pytest.skip("needs an importable torchvision, and a GPU for cuda")
    arguments = noise(10, 2, 8, 20, 24), 3 * noise(11, 2, 98, 20, 24), noise(12, 2, 49, 20, 24).sigmoid()
    arguments = [each.to(device) for each in (*arguments, noise(13, 4, 8, 7, 7))]
    torch.testing.assert_close(deform_conv2d(*arguments), kernel(*arguments), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "raises", ["RuntimeError('operator torchvision::nms does not exist')", "OSError('x')"]
)
def test_a_broken_torchvision_is_done_without(raises: str, tmp_path: Path, monkeypatch) -> None:
    broken = tmp_path / "torchvision"
    broken.mkdir()
    (broken / "__init__.py").write_text(f"raise {raises}")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    torchvision_kernel.cache_clear()
    try:
        assert torchvision_kernel() is None
    finally:
        torchvision_kernel.cache_clear()
