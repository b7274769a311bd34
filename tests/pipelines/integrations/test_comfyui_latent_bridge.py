"""The ComfyUI nodes, in Comfy's tensors, with stubs of the two modules of Comfy's that they ask."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from pairbridge.pipelines.inference.publishing import publish
from pairbridge.pipelines.inference.translation import open_model
from tests.pipelines.inference.translating_models import write_model

FILE = "pairbridge.pipelines.integrations.comfyui_latent_bridge"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models" / "diffusers"
    folder_paths, comfy = ModuleType("folder_paths"), ModuleType("comfy")
    management = ModuleType("comfy.model_management")
    folder_paths.get_folder_paths = {"diffusers": [str(folder), str(tmp_path / "absent")]}.__getitem__
    management.get_torch_device = lambda: torch.device("cpu")
    comfy.model_management = management
    for module in (folder_paths, comfy, management):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delitem(sys.modules, FILE, raising=False)
    return folder


def test_nodes_translate_a_batch_as_the_command_does(models: Path, tmp_path: Path) -> None:
    checkpoint = write_model(tmp_path / "checkpoints", conditions=("mask", "light"))
    publish(checkpoint, models / "relight")
    other = models / "stable-diffusion"
    other.mkdir()
    (other / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    nodes = importlib.import_module(FILE).NODE_CLASS_MAPPINGS
    load, translate = nodes["LoadLatentBridge"], nodes["TranslateByLatentBridge"]
    assert load.INPUT_TYPES()["required"]["model"] == (["relight"],)
    (pipeline,) = getattr(load(), load.FUNCTION)("relight")
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (2, 37, 50, 3), np.uint8)
    mask = (draw.random((1, 37, 50)) > 0.5).astype(np.uint8) * 255
    light = draw.integers(0, 256, (1, 16, 32, 3), np.uint8)
    given = [torch.from_numpy(one.astype(np.float32) / 255) for one in (images, mask, light)]
    (made,) = getattr(translate(), translate.FUNCTION)(
        pipeline, given[0], steps=2, guidance=1.0, seed=3, mask=given[1], light=given[2]
    )
    assert (made.dtype, made.shape) == (torch.float32, (2, 37, 50, 3))
    model = open_model(checkpoint)
    for place in range(2):
        expected = model.translate(
            images[place], mask[0], conditions={"light": light[0]}, steps=2, seed=3 + place
        )
        assert np.array_equal((made[place].numpy() * 255).round().astype(np.uint8), expected)
    required = translate.INPUT_TYPES()["required"] | translate.INPUT_TYPES()["optional"]
    assert {"model", "image", "mask", "light"} <= required.keys()
