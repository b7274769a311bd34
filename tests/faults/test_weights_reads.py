"""Files of weights that cannot be opened, for a moment or longer, in a process of their own."""

import errno
import os
import subprocess
import sys

import pytest
from diffusers import AutoencoderTiny

from tests.datagen.models.birefnet_models import red_finder_state, write_folder

READER = """
import sys
from pathlib import Path
from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.models.matting.birefnet_weights import load_network
from pairbridge.training.networks.autoencoders import load_autoencoder
root = Path(sys.argv[1])
for attempt in range(2):
    for load, name in ((load_network, "birefnet"), (load_autoencoder, "vae")):
        try:
            load(root / name)
            print(name, "read")
        except PairbridgeError as error:
            print(name, type(error).__name__, error.cause)
"""


@pytest.mark.long
def test_weights_that_cannot_be_opened_are_neither_damaged_nor_a_wrong_folder(tmp_path, failing_files):
    root = tmp_path / "weights"
    write_folder(root / "birefnet", red_finder_state())
    AutoencoderTiny(
        encoder_block_out_channels=(4, 4),
        decoder_block_out_channels=(4, 4),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    ).save_pretrained(root / "vae", safe_serialization=True)
    # Each is opened once to be read and once more to be judged; the fifth opening is the second attempt's
    # first, which fails alone.
    faulty = failing_files.environment(root, "R", at=1, times=5, how=errno.ESTALE)
    ran = subprocess.run(
        [sys.executable, "-c", READER, str(root)],
        env=os.environ | faulty,
        capture_output=True,
        text=True,
    )
    stale = f"cannot be read: {os.strerror(errno.ESTALE)}"
    assert ran.stdout.splitlines() == [
        f"birefnet FileUnreadable {root / 'birefnet' / 'model.safetensors'} {stale}",
        f"vae FileUnreadable {root / 'vae' / 'config.json'} {stale}",
        "birefnet read",
        "vae read",
    ], ran.stderr
