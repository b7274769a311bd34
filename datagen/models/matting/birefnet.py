"""The BiRefNet matting model, with weights from a local folder.

Pre- and post-processing of the published models (arXiv 2401.03407): bilinear resize to the input's size
whatever the aspect, ImageNet normalisation, sigmoid, and the probability itself brought back to the
photograph's size. It is never stretched to 0..1: that would turn "nothing found" into a full mask.

One photograph at 1024x1024 on one CPU core takes 31 s and 3.7 GB (Swin-L), 14 s and 2.1 GB (the lite model).
"""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.models.matting.birefnet_config import WEIGHTS_NAME, BiRefNetConfig, input_size
from pairbridge.datagen.models.matting.birefnet_weights import load_network
from pairbridge.datagen.models.matting.matting_model import no_foreground
from pairbridge.datagen.models.torch_runtime import fixed_threads, require_device
from pairbridge.datagen.models.weights.weight_folders import WeightsError, identity, require

# Of ImageNet, for values in 0..1.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class BiRefNetMasker:
    """A `MattingModel`; see the module's docstring. Opening it reads the weights, up to 0.9 GB."""

    is_stand_in = False

    def __init__(self, config: BiRefNetConfig) -> None:
        """Raises WeightsError for weights that are missing, broken or not the pinned ones, and ConfigError
        where CUDA is asked for and absent.
        """
        folder = config.folder
        require(folder, WEIGHTS_NAME)
        if config.sha256 and config.sha256 != (found := file_sha256(folder / WEIGHTS_NAME)):
            raise WeightsError(
                f"{folder / WEIGHTS_NAME} has sha256 {found}, and the config pins {config.sha256}",
                consequence="the masks would not be those that the config promises",
                remedy="fetch the pinned weights, or change `sha256` and generate a new dataset",
            )
        device = require_device(config.device, "matting model")
        self.config = config
        self.name = config.model
        self.revision = identity(folder, WEIGHTS_NAME)
        self._dtype = torch.float16 if config.device == "cuda" else torch.float32
        self._network = load_network(folder).to(device, self._dtype)

    def alpha(self, image: np.ndarray) -> np.ndarray:
        """See `MattingModel.alpha`."""
        height, width = image.shape[:2]
        with fixed_threads(self.config.cpu_threads), torch.inference_mode():
            logits = self._network(self._input(image))
            probability = logits.float().sigmoid().cpu()
            resized = F.interpolate(
                probability, (height, width), mode="bilinear", align_corners=False, antialias=True
            )
        alpha = resized[0, 0].numpy()
        highest, doubt = float(alpha.max()), float((4 * alpha * (1 - alpha)).mean())
        # Both comparisons are false for NaN, which `cut_out` refuses under its own name.
        if highest < 0.5:
            raise no_foreground(self, f"its highest probability is {highest:.2f}")
        if doubt > self.config.max_doubt:
            raise no_foreground(self, f"it is undecided about the image (doubt {doubt:.2f})")
        return alpha

    def _input(self, image: np.ndarray) -> torch.Tensor:
        size = input_size(self.config, image.shape[1::-1])
        # Pillow's filter widens when it shrinks, as in the models' training; OpenCV's would alias.
        resized = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
        normalised = (resized / np.float32(255) - np.float32(MEAN)) / np.float32(STD)
        pixels = torch.from_numpy(normalised).permute(2, 0, 1)[None].contiguous()
        return pixels.to(self.config.device, self._dtype)
