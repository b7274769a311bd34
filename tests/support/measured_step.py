"""A process that makes real steps of a training and prints the most memory that they took, in bytes."""

import re
import sys
from pathlib import Path

import torch

from pairbridge.training.bridge_training.bridge_learner import BridgeLearner
from pairbridge.training.bridge_training.losses import PixelLoss
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.ranks import Ranks
from pairbridge.training.data.targets import PICTURES
from pairbridge.training.networks.autoencoders import build_autoencoder


def _most_bytes() -> int:
    # Not ru_maxrss, which a program inherits from whoever started it: a test run is larger than this.
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text()).group(1)) * 1024


def main() -> None:
    config = TrainingConfig.model_validate_json(sys.argv[1])
    torch.set_num_threads(1)
    # The libraries' own memory comes with the first operations of each kind.
    torch.nn.Conv2d(8, 8, 3)(torch.zeros(1, 8, 16, 16)).sum().backward()
    before = _most_bytes()
    autoencoder, pixel_loss = build_autoencoder(config.autoencoder), PixelLoss(config.loss)
    bridge = BridgeLearner(config, autoencoder, pixel_loss, Ranks(0, 1), torch.device("cpu"), from_base=False)
    size, count = (config.size, config.size), config.batch_size
    shapes = {"source": (*size, 3), "target": (*size, 3), "mask": size}
    images = {name: torch.randint(256, (count, *of), dtype=torch.uint8) for name, of in shapes.items()}
    for step in range(2):
        bridge.step(step, {**images, "size_WH": size, "batch_size": count}, PICTURES)
    print(_most_bytes() - before)


if __name__ == "__main__":
    main()
