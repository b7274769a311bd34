"""Published networks from a local folder: safetensors alone, no download, no code of the folder's."""

from functools import partial
from pathlib import Path
from typing import Any

from pairbridge.datagen.core.bounded_json import read_json_object
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.json_digest import digest, file_sha256
from pairbridge.datagen.core.limits import MAX_SIDE_JSON_BYTES
from pairbridge.datagen.models.weights.pretrained import load_pretrained
from pairbridge.datagen.models.weights.weights_in_use import read_twice


def load_network(kind: type, folder: Path, **options: Any) -> Any:
    """A frozen network in float32, of a diffusers or transformers class `kind` with its `options`.

    Raises ConfigError for a folder that is missing, holds something else, or lacks a weight, which would be
    random.
    """
    if not (folder / "config.json").is_file():
        raise unusable(folder, "there is no config.json in it")
    return load_pretrained(kind, folder, unusable, **options).float()


def read_json(path: Path) -> dict[str, Any]:
    """Raises ConfigError for what is no mapping in a file."""
    try:
        return read_twice(path, lambda: read_json_object(path, MAX_SIDE_JSON_BYTES))
    except (OSError, ValueError) as error:
        raise unusable(path.parent, f"its {path.name} cannot be read ({error})") from error


def files_digest(folder: Path, *patterns: str) -> str:
    """Changes with any byte of the files of `folder` that fit one of the patterns."""
    files = [path for one in patterns for path in sorted(folder.glob(one))]
    return digest({path.name: read_twice(path, partial(file_sha256, path)) for path in files})


def unusable(folder: Path, why: str) -> ConfigError:
    return ConfigError(
        f"network folder {folder}: {why}",
        consequence="there is no network to load; nothing is fetched from the network",
        remedy="name a folder in the published layout, config.json and *.safetensors (no pickled .bin), as"
        " `hf download` leaves it",
    )
