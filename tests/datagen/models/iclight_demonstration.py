"""IC-Light's demonstrations in their own manner, as a reference.

Diffusers' stock pipelines around a UNet whose `forward` is replaced by one that concatenates the conditions,
and offsets added to a plain state dict.
"""

from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTokenizer

from tests.support.tiny_iclight import BASE

SIDE = 64  # of the first pass


class Demonstration:
    """The published demonstrations' way, step by step, with one mistake at a time if asked."""

    def __init__(self, root: Path, mode: str, mistake: str = "") -> None:
        base = root / BASE
        self.mode, self.mistake = mode, mistake
        self.tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
        self.text_encoder = CLIPTextModel.from_pretrained(base / "text_encoder")
        self.vae = AutoencoderKL.from_pretrained(base / "vae", low_cpu_mem_usage=False)
        self.unet = UNet2DConditionModel.from_pretrained(base / "unet", low_cpu_mem_usage=False)
        channels = 12 if mode == "fbc" else 8
        old = self.unet.conv_in
        new = torch.nn.Conv2d(channels, old.out_channels, old.kernel_size, old.stride, old.padding)
        with torch.no_grad():
            new.weight.zero_()
            new.weight[:, :4].copy_(old.weight)
            new.bias = old.bias
        self.unet.conv_in = new
        offsets = load_file(root / "ic-light" / f"iclight_sd15_{mode}.safetensors")
        plain = self.unet.state_dict()
        kept = 0 if mistake == "replaced offsets" else 1
        self.unet.load_state_dict({key: kept * plain[key] + offsets[key].float() for key in plain})
        # On some processors weights that could be trained take another attention kernel, even without
        # gradients: one bit more or less.
        for network in (self.text_encoder, self.vae, self.unet):
            network.requires_grad_(False)
        self._forward = self.unet.forward
        self.unet.forward = self._hooked
        scheduler = DPMSolverMultistepScheduler(
            num_train_timesteps=1000,
            beta_start=0.00085,
            beta_end=0.012,
            algorithm_type="sde-dpmsolver++",
            use_karras_sigmas=True,
            steps_offset=1,
        )
        parts = {
            "vae": self.vae,
            "text_encoder": self.text_encoder,
            "tokenizer": self.tokenizer,
            "unet": self.unet,
            "scheduler": scheduler,
            "safety_checker": None,
            "requires_safety_checker": False,
            "feature_extractor": None,
            "image_encoder": None,
        }
        self.t2i, self.i2i = StableDiffusionPipeline(**parts), StableDiffusionImg2ImgPipeline(**parts)
        for pipeline in (self.t2i, self.i2i):
            pipeline.set_progress_bar_config(disable=True)

    def _hooked(self, sample, timestep, encoder_hidden_states, **given):
        conditions = given["cross_attention_kwargs"]["concat_conds"].to(sample)
        conditions = torch.cat([conditions] * (sample.shape[0] // conditions.shape[0]), dim=0)
        given["cross_attention_kwargs"] = {}
        both = [conditions, sample] if self.mistake == "conditions first" else [sample, conditions]
        return self._forward(torch.cat(both, dim=1), timestep, encoder_hidden_states, **given)

    @torch.inference_mode()
    def relight(self, image, alpha, background, config, seed: int) -> np.ndarray:
        """float32 (H, W, 3) in 0..255 at the last pass's size."""
        grey = 0 if self.mistake == "black behind" else 127
        fill = grey + (image.astype(np.float32) - grey) * alpha[..., None]
        shown = fill.clip(0, 255).astype(np.uint8)
        generator = torch.Generator().manual_seed(seed)
        size = SIDE
        common = {
            "prompt_embeds": self._text("best quality"),
            "negative_prompt_embeds": self._text(config.negative_prompt),
            "generator": generator,
            "output_type": "latent",
            "guidance_scale": config.guidance,
        }
        conditions = self._conditions(shown, background, size)
        if self.mode == "fbc":
            latents = self.t2i(
                width=size,
                height=size,
                num_inference_steps=config.steps,
                cross_attention_kwargs={"concat_conds": conditions},
                **common,
            ).images
        else:
            latents = self._again(_from_the_left(size), 0.9, config, conditions, common)
        if config.second_pass:
            pixels = self._pixels(latents, quantised=True)
            size = int(round(size * config.second_pass.scale / 64.0) * 64)
            large = np.asarray(Image.fromarray(pixels).resize((size, size), Image.LANCZOS))
            conditions = self._conditions(shown, background, size)
            latents = self._again(large, config.second_pass.strength, config, conditions, common)
        return self._pixels(latents, quantised=False)

    def _again(self, pixels, strength, config, conditions, common):
        return self.i2i(
            image=self._encoded([pixels]),
            strength=strength,
            num_inference_steps=round(config.steps / strength),
            cross_attention_kwargs={"concat_conds": conditions},
            **common,
        ).images

    def _conditions(self, shown, background, size):
        pictures = [shown, background] if self.mode == "fbc" else [shown]
        if self.mistake == "background first":
            pictures = pictures[::-1]
        pictures = [np.asarray(Image.fromarray(one).resize((size, size), Image.LANCZOS)) for one in pictures]
        return torch.cat([one[None] for one in self._encoded(pictures)], dim=1)

    def _encoded(self, pictures):
        pixels = torch.from_numpy(np.stack(pictures)).float() / 127.0 - 1.0
        encoded = self.vae.encode(pixels.movedim(-1, 1)).latent_dist
        latents = encoded.mean if self.mistake != "sampled latents" else encoded.sample()
        return latents * self.vae.config.scaling_factor

    def _pixels(self, latents, *, quantised: bool):
        pixels = self.vae.decode(latents / self.vae.config.scaling_factor).sample[0].movedim(0, -1)
        levels = (pixels * 127.5 + 127.5).numpy().clip(0, 255)
        return levels.astype(np.uint8) if quantised else levels

    def _text(self, prompt: str):
        tokens = self.tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
        return self.text_encoder(tokens).last_hidden_state


def _from_the_left(size: int) -> np.ndarray:
    gradient = np.tile(np.linspace(255, 0, size), (size, 1))
    return np.stack((gradient,) * 3, axis=-1).astype(np.uint8)
