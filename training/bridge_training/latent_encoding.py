"""`pairbridge encode`: run the autoencoder over every pair of a dataset once, and keep what it says.

Resumable and atomic like every shard here: one that is committed for the same pairs and encoding is skipped,
and one that is not does not exist. See pairbridge.training.data.latent_cache for what is written.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.shards.commit import commit_shard, committed_shard, sweep_unfinished
from pairbridge.datagen.shards.records import Hole, pack_group
from pairbridge.datagen.shards.sample import encode_field
from pairbridge.datagen.shards.shard_index import ShardIndex
from pairbridge.training.data.condition_specs import SOURCE
from pairbridge.training.data.framing import Frame
from pairbridge.training.data.latent_cache import PAIRS_PER_SHARD, Encoding, write_facts
from pairbridge.training.data.pairs import Pair, PairSource
from pairbridge.training.data.tensors import network_images, pixels_of
from pairbridge.training.engine.torch_devices import to_device
from pairbridge.training.networks.autoencoders import Autoencoder
from pairbridge.training.networks.conditions import encode_condition


def encode_pairs(
    pairs: PairSource,
    encoding: Encoding,
    autoencoder: Autoencoder,
    *,
    batch_size: int = 4,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Make what is missing of one source's latents; returns their folder.

    The caller holds the folder's lock. batch_size: pairs that go through the autoencoder together, where it
    is. `on_progress` gets pairs done and pairs in all. A pair whose images
    cannot be read becomes a hole. Raises ConfigError where shards of other pairs are in the way.
    """
    folder = encoding.folder(pairs.dataset_dir)
    shards = folder / "shards"
    shards.mkdir(parents=True, exist_ok=True)
    sweep_unfinished(shards)
    write_facts(folder, encoding)
    index = ShardIndex(shards)
    for number, first in enumerate(range(0, len(pairs), PAIRS_PER_SHARD)):
        info = encoding.shard(pairs, pairs.recipe, pairs.split, number)
        last = min(first + PAIRS_PER_SHARD, len(pairs))
        if committed_shard(index, info) is None:
            outcomes = []
            for start in range(first, last, batch_size):
                places = range(start, min(start + batch_size, last))
                outcomes += _outcomes(pairs, places, encoding, autoencoder)
                on_progress(places.stop, len(pairs))
            part, record = pack_group(number, outcomes)
            # Hidden from readers and swept if left behind.
            path = shards / f".{info.name}.tmp-part"
            path.write_bytes(part)
            commit_shard(shards, info, [(record, path)])
            path.unlink()
        on_progress(last, len(pairs))
    return folder


def _outcomes(
    pairs: PairSource, places: range, encoding: Encoding, autoencoder: Autoencoder
) -> list[tuple[str, dict[str, bytes]] | Hole]:
    """One per pair, in order: (key, encoded fields), or a hole."""
    read: list[Pair | Hole] = []
    for place in places:
        try:
            read.append(pairs.pair(place, Frame(encoding.size_WH)))
        except ShardError as error:
            read.append(Hole(key=pairs.key(place), reason=error.cause))
    fields = _fields([one for one in read if isinstance(one, Pair)], encoding, autoencoder)
    return [one if isinstance(one, Hole) else (one.key, fields[one.key]) for one in read]


@torch.no_grad()
def _fields(pairs: list[Pair], encoding: Encoding, autoencoder: Autoencoder) -> dict[str, dict[str, bytes]]:
    if not pairs:
        return {}
    pixels = {name: to_device(image, autoencoder.device) for name, image in pixels_of(pairs).items()}
    images = network_images(pixels)
    arrays: dict[str, Tensor] = {}
    for name in ("source", "target"):
        arrays[f"mean_{name}"] = autoencoder.encode(images[name])
    for one in encoding.conditions:
        if one.field != SOURCE:
            seen = encode_condition(one, images, arrays["mean_source"], autoencoder)
            arrays[f"seen_{one.field}"] = seen
    stacked = {name: tensor.cpu().numpy() for name, tensor in arrays.items()}
    made = {}
    for row, pair in enumerate(pairs):
        fields = {f"{name}.npy": array[row] for name, array in stacked.items()}
        if pair.valid is not None:
            fields["valid.png"] = pair.valid
        made[pair.key] = {field: encode_field(field, value) for field, value in fields.items()}
    return made
