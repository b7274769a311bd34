"""ComfyUI nodes for published latent bridges: copy this file into ComfyUI/custom_nodes.

A model is a folder that `pairbridge publish` wrote, put into ComfyUI/models/diffusers. Loading it runs the
`pipeline.py` that lies in it, with torch and diffusers alone: put only folders there that you trust.
"""

import importlib.util
from pathlib import Path
from typing import Any

import comfy.model_management
import folder_paths
import numpy as np
import torch
from PIL import Image

_INDEX = "model_index.json"
_PIPELINE = "LatentBridgePipeline"


def _published() -> dict[str, Path]:
    """The folders of models that are latent bridges, by name."""
    roots = [Path(root) for root in folder_paths.get_folder_paths("diffusers")]
    indexes = sorted(index for root in roots if root.is_dir() for index in root.glob(f"*/{_INDEX}"))
    return {index.parent.name: index.parent for index in indexes if _PIPELINE in index.read_text()}


class LoadLatentBridge:
    """A published folder as a pipeline on Comfy's device."""

    CATEGORY = "latent bridge"
    FUNCTION = "load"
    RETURN_TYPES = ("LATENT_BRIDGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"model": (sorted(_published()),)}}

    def load(self, model: str) -> tuple[Any]:
        folder = _published()[model]
        spec = importlib.util.spec_from_file_location(f"latent_bridge_{model}", folder / "pipeline.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        pipeline = getattr(module, _PIPELINE).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False
        )
        pipeline.set_progress_bar_config(disable=True)
        return (pipeline.to(comfy.model_management.get_torch_device()),)


class TranslateByLatentBridge:
    """IMAGE (B, H, W, 3) -> IMAGE of its size; image by image, each with the next seed."""

    CATEGORY = "latent bridge"
    FUNCTION = "translate"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": ("LATENT_BRIDGE",),
                "image": ("IMAGE",),
                "steps": ("INT", {"default": 1, "min": 1, "max": 100}),
                "guidance": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 20.0, "step": 0.1}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**31 - 1}),
            },
            "optional": {
                "mask": ("MASK",),
                "light": ("IMAGE",),
                "class_field": ("STRING", {"default": ""}),
                "class_name": ("STRING", {"default": ""}),
            },
        }

    def translate(
        self,
        model: Any,
        image: torch.Tensor,
        steps: int,
        guidance: float,
        seed: int,
        mask: torch.Tensor | None = None,
        light: torch.Tensor | None = None,
        class_field: str = "",
        class_name: str = "",
    ) -> tuple[torch.Tensor]:
        outputs = []
        for place in range(len(image)):
            conditions: dict[str, Any] = {class_field: class_name} if class_field else {}
            if light is not None:
                conditions["light"] = _picture(light[place % len(light)])
            made = model(
                _picture(image[place]),
                None if mask is None else _picture(mask[place % len(mask)]),
                conditions,
                num_inference_steps=steps,
                guidance_scale=guidance,
                seed=seed + place,
            ).images[0]
            outputs.append(torch.from_numpy(np.asarray(made).astype(np.float32) / 255))
        return (torch.stack(outputs),)


def _picture(values: torch.Tensor) -> Image.Image:
    """(H, W, 3) or (H, W) in [0, 1] as uint8."""
    return Image.fromarray((values.cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy())


NODE_CLASS_MAPPINGS = {
    "LoadLatentBridge": LoadLatentBridge,
    "TranslateByLatentBridge": TranslateByLatentBridge,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "LoadLatentBridge": "Load latent bridge",
    "TranslateByLatentBridge": "Translate by latent bridge",
}
