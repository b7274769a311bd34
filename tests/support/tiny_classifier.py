"""An image classifier as transformers publishes it, small, its weights random."""

import json
from pathlib import Path

import torch
from transformers import ResNetConfig, ResNetForImageClassification

LABELS = ("red, crimson", "green", "blue", "crane", "crane")


def write_tiny_classifier(folder: Path) -> Path:
    """The files of microsoft/resnet-50, which was published before image processors were called so."""
    torch.manual_seed(3)
    settings = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        layer_type="basic",
        id2label=dict(enumerate(LABELS)),
    )
    network = ResNetForImageClassification(settings).eval()
    head = network.classifier[1]
    # Features are positive: without this every picture is of the class that their mean is nearest to.
    colours = torch.randn(32, 3, 1, 1).expand(-1, -1, 64, 64)
    with torch.no_grad():
        usual = network.resnet(colours).pooler_output.flatten(1).mean(dim=0)
        head.bias.copy_(-head.weight @ usual)
    network.save_pretrained(folder, safe_serialization=True)
    prepare = {
        "crop_pct": 0.875,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "ConvNextFeatureExtractor",
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "resample": 3,
        "size": 224,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(prepare))
    return folder
