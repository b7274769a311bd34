"""Images on disk, and the commands that take them."""

from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from pairbridge.datagen.shards.sample import decode_field, encode_field
from pairbridge.pipelines.cli import app


def write(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_field("image.png", image))
    return path


def read(path: Path) -> np.ndarray:
    return decode_field("image.png", path.read_bytes())


def pairbridge(*arguments: object) -> str:
    """What the command prints; its errors come through as they are."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output
