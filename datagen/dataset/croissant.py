"""croissant.json: the dataset in MLCommons Croissant 1.0, for catalogues and loaders of others.

Every shard is a FileObject with its hash, every field of a recipe a FileSet inside the recipe's shards, and a
RecordSet `<recipe>.<field>` with key, split and content. Records of one key belong together. They are not
joined into one RecordSet, since the reference reader (mlcroissant 1.1.1) joins no more than two sources.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pairbridge.datagen.assets.licences import licence_url, strictest_licence
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.shards.indexed_shard import IndexedShard

CROISSANT_NAME = "croissant.json"

# Terms of Croissant's vocabulary that keep their names.
_TERMS = (
    "citeAs column equivalentProperty extract field fileObject fileProperty fileSet format includes "
    "isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace "
    "samplingRate separator source subField transform"
)
_CONTEXT = dict(
    sorted(
        {
            **{term: f"cr:{term}" for term in _TERMS.split()},
            "@language": "en",
            "@vocab": "https://schema.org/",
            "conformsTo": "dct:conformsTo",
            "cr": "http://mlcommons.org/croissant/",
            "data": {"@id": "cr:data", "@type": "@json"},
            "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
            "dct": "http://purl.org/dc/terms/",
            "examples": {"@id": "cr:examples", "@type": "@json"},
            "rai": "http://mlcommons.org/croissant/RAI/",
            "sc": "https://schema.org/",
        }.items()
    )
)
_ENCODINGS = {"png": "image/png", "json": "application/json", "npy": "application/octet-stream"}
# Arrays have no type in Croissant; they stay FileSets.
_TYPES = {"png": "sc:ImageObject", "json": "sc:Text"}


def croissant_json(manifest: DatasetManifest, committed: Sequence[IndexedShard]) -> bytes:
    """The file's content, a function of the two; shards without a sample are left out."""
    shards = {
        recipe_id: [shard for shard in committed if shard.count and shard.shard.recipe == recipe_id]
        for recipe_id in manifest.recipes
    }
    filled = {recipe_id: of for recipe_id, of in shards.items() if of}
    whole = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": manifest.name,
        "description": "Paired images for image-to-image translation, made by pairbridge. README.md has "
        "counts, fields and licences; meta.json of each sample says what it was made from.",
        "license": licence_url(strictest_licence(asset.licence for asset in manifest.assets)),
        "keywords": ["image-to-image", "paired", "pairbridge"],
        "distribution": [
            *(_file_object(shard) for of in filled.values() for shard in of),
            *(
                _file_set(recipe_id, field, text, filled[recipe_id])
                for recipe_id, field, text in _fields(manifest, filled)
            ),
        ],
        "recordSet": [
            _record_set(recipe_id, field, text)
            for recipe_id, field, text in _fields(manifest, filled)
            if field.rpartition(".")[2] in _TYPES
        ],
    }
    return json.dumps(whole, indent=1, ensure_ascii=False).encode() + b"\n"


def _fields(
    manifest: DatasetManifest, filled: Mapping[str, Sequence[IndexedShard]]
) -> Iterator[tuple[str, str, str]]:
    """(recipe, field, what it holds)."""
    for recipe_id in filled:
        for field, spec in sorted(manifest.recipes[recipe_id].fields.items()):
            yield recipe_id, field, f"{spec.kind}; {spec.shows}"


def _file_object(shard: IndexedShard) -> dict[str, Any]:
    path = f"shards/{shard.name}.tar"
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": f"{shard.name}.tar",
        "contentUrl": path,
        "contentSize": f"{shard.bytes} B",
        "encodingFormat": "application/x-tar",
        "sha256": shard.sha256,
    }


def _file_set(recipe_id: str, field: str, text: str, shards: Sequence[IndexedShard]) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{recipe_id}.{field}",
        "name": f"{recipe_id}.{field}",
        "description": text,
        "containedIn": [{"@id": f"shards/{shard.name}.tar"} for shard in shards],
        "encodingFormat": _ENCODINGS[field.rpartition(".")[2]],
        "includes": f"*.{field}",
    }


def _record_set(recipe_id: str, field: str, text: str) -> dict[str, Any]:
    name, _, suffix = field.rpartition(".")
    record_set = f"{recipe_id}.{name}"
    file_set = {"fileSet": {"@id": f"{recipe_id}.{field}"}}

    def column(column_name: str, data_type: str, **source: Any) -> dict[str, Any]:
        return {
            "@type": "cr:Field",
            "@id": f"{record_set}/{column_name}",
            "name": column_name,
            "dataType": data_type,
            "source": {**file_set, **source},
        }

    of_name = {"extract": {"fileProperty": "filename"}}
    split = rf"^{recipe_id}-(train|validation|test)-[0-9]+\."
    return {
        "@type": "cr:RecordSet",
        "@id": record_set,
        "name": record_set,
        "description": text,
        "key": {"@id": f"{record_set}/key"},
        "field": [
            column("key", "sc:Text", **of_name, transform={"regex": r"^([a-z0-9_-]+)\."}),
            column("split", "sc:Text", **of_name, transform={"regex": split}),
            column("content", _TYPES[suffix], extract={"fileProperty": "content"}),
        ],
    }
