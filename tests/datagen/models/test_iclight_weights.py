"""From a folder to networks: what the merge does, and what a folder that does not fit leads to."""

import shutil
import socket
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTokenizer

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.models.relighting import open_relighter
from pairbridge.datagen.models.relighting.iclight_weights import encode_prompts, merged_unet
from pairbridge.datagen.models.weights.weight_folders import WeightsError
from tests.support.tiny_iclight import BASE, fbc_config, fc_config, write_weights

MODES = [("fbc", 2, 12), ("fc", 1, 8)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def own(weights: Path, tmp_path: Path) -> Path:
    """A copy of the weights, to be broken."""
    return Path(shutil.copytree(weights, tmp_path / "own"))


def offsets_of(root: Path, mode: str) -> Path:
    return root / "ic-light" / f"iclight_sd15_{mode}.safetensors"


@pytest.mark.parametrize(("mode", "conditions", "channels"), MODES)
def test_every_key_is_the_base_plus_its_offset(weights: Path, mode, conditions, channels) -> None:
    base = UNet2DConditionModel.from_pretrained(weights / BASE / "unet", low_cpu_mem_usage=False).state_dict()
    offsets = load_file(offsets_of(weights, mode))
    unet = merged_unet(weights / BASE / "unet", offsets_of(weights, mode), conditions)
    merged = unet.state_dict()
    assert merged.keys() == base.keys() == offsets.keys()
    assert unet.config.in_channels == channels
    for key, value in merged.items():
        assert value.dtype == torch.float32
        if key == "conv_in.weight":
            assert torch.equal(value[:, :4], base[key] + offsets[key][:, :4].float())
            assert torch.equal(value[:, 4:], offsets[key][:, 4:].float())
        else:
            assert torch.equal(value, base[key] + offsets[key].float())
        assert offsets[key].abs().max() > 0


def test_the_sum_is_taken_before_it_is_rounded(weights: Path) -> None:
    """In half precision a small offset on a large weight would vanish: 1 + 2^-12 is 1 there."""
    base = UNet2DConditionModel.from_pretrained(weights / BASE / "unet", low_cpu_mem_usage=False).state_dict()
    unet = merged_unet(weights / BASE / "unet", offsets_of(weights, "fbc"), 2)
    rounded = base["conv_in.bias"].half() + load_file(offsets_of(weights, "fbc"))["conv_in.bias"]
    assert not torch.equal(unet.conv_in.bias, rounded.float())


def test_zero_offsets_leave_a_network_blind_to_its_conditions(own: Path) -> None:
    path = offsets_of(own, "fbc")
    save_file({key: torch.zeros_like(value) for key, value in load_file(path).items()}, path)
    unet = merged_unet(own / BASE / "unet", path, 2)
    plain = UNet2DConditionModel.from_pretrained(own / BASE / "unet", low_cpu_mem_usage=False).eval()
    noise, text, conditions = torch.randn(1, 4, 8, 8), torch.randn(1, 77, 8), torch.randn(1, 8, 8, 8)
    with torch.no_grad():
        seen = unet(torch.cat([noise, conditions], 1), 500, text).sample
        assert torch.allclose(seen, plain(noise, 500, text).sample, atol=1e-5)


def _without(offsets: dict) -> None:
    del offsets["conv_out.weight"]


def _with_another(offsets: dict) -> None:
    offsets["lora.up"] = torch.zeros(1)


def _misshapen(offsets: dict) -> None:
    offsets["conv_out.bias"] = torch.zeros(7)


def _of_the_other_mode(offsets: dict) -> None:
    offsets["conv_in.weight"] = torch.zeros(4, 8, 3, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without, r"lacks 1 of the base UNet's keys: conv_out\.weight"),
        (_with_another, r"has unknown 1 of the base UNet's keys: lora\.up"),
        (_misshapen, r"conv_out\.bias has shape \(7,\), the base's \(4,\)"),
        (_of_the_other_mode, r"conv_in\.weight has shape \(4, 8, 3, 3\), the base's \(4, 12, 3, 3\)"),
    ],
)
def test_offsets_that_do_not_fit_are_refused_by_name(own: Path, change, message: str) -> None:
    path = offsets_of(own, "fbc")
    offsets = load_file(path)
    change(offsets)
    save_file(offsets, path)
    with pytest.raises(WeightsError, match=message):
        open_relighter(fbc_config(own))


def test_what_is_missing_is_named_and_no_network_is_touched(own: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("something reached out to a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    open_relighter(fbc_config(own))
    (own / BASE / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"lacks vae/diffusion_pytorch_model\.safetensors"):
        open_relighter(fbc_config(own))
    with pytest.raises(WeightsError, match="realistic-vision-v51 lacks"):
        open_relighter(fbc_config(own, base="realistic-vision-v51"))


def test_a_weight_missing_from_the_base_is_not_left_random(own: Path) -> None:
    path = own / BASE / "vae" / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    del state["decoder.conv_out.weight"]
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"lacks 1 weights, the first decoder\.conv_out\.weight"):
        open_relighter(fbc_config(own))


def test_a_cut_off_file_is_refused(own: Path) -> None:
    path = offsets_of(own, "fc")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="cannot be read"):
        open_relighter(fc_config(own))


def test_pickled_weights_are_never_read(own: Path) -> None:
    path = own / BASE / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(path), path.with_suffix(".bin"))
    path.unlink()
    with pytest.raises(WeightsError, match=r"lacks unet/diffusion_pytorch_model\.safetensors"):
        open_relighter(fbc_config(own))


def test_the_revision_names_the_bytes_that_were_loaded(own: Path) -> None:
    first = open_relighter(fbc_config(own)).revision
    assert first == open_relighter(fbc_config(own)).revision
    assert first.count("@sha256:") == 2
    path = offsets_of(own, "fbc")
    offsets = load_file(path)
    offsets["conv_out.bias"] += 1
    save_file(offsets, path)
    second = open_relighter(fbc_config(own)).revision
    assert second.split(" on ")[0] != first.split(" on ")[0]
    assert second.split(" on ")[1] == first.split(" on ")[1]


def test_a_gpu_that_is_not_there_is_said(weights: Path, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="torch finds no GPU"):
        open_relighter(fbc_config(weights, device="cuda"))


def test_weights_are_found_where_the_environment_says(weights: Path, monkeypatch) -> None:
    monkeypatch.setenv("PAIRBRIDGE_WEIGHTS", str(weights))
    assert open_relighter(fbc_config(None)).revision == open_relighter(fbc_config(weights)).revision


def test_short_prompts_are_the_plain_encoding(weights: Path) -> None:
    base = weights / BASE
    tokenizer, model = (
        CLIPTokenizer.from_pretrained(base / "tokenizer"),
        CLIPTextModel.from_pretrained(base / "text_encoder"),
    )
    prompts = ("lowres", "sunset, best quality")
    tokens = tokenizer(list(prompts), padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        plain = model(tokens).last_hidden_state
    assert torch.allclose(encode_prompts(base, prompts), plain, atol=1e-6)


def test_long_prompts_go_by_chunks_and_the_shorter_one_repeats(weights: Path) -> None:
    base = weights / BASE
    head, tail = "a" * 75, "b" * 10  # one token a character
    encoded = encode_prompts(base, ("none", head + tail))
    assert encoded.shape == (2, 154, 8)
    assert torch.equal(encoded[0, :77], encoded[0, 77:])
    assert not torch.equal(encoded[1, :77], encoded[1, 77:])
    assert encode_prompts(base, ("", "")).shape == (2, 77, 8)
