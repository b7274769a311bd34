"""Plain folders, as trainers that know nothing of shards want them:

    <out>/<recipe>/<split>/source/<key>.png
                           target/<key>.png
                           mask/<key>.png
                           meta/<key>.json      and one folder for each further field

Files of one name belong together, and their bytes are those of the shards.
"""

from pathlib import Path

from pairbridge.datagen.exports.finished import FinishedDataset, write_export_card

_USE = (
    "`<recipe>/<split>/source/<key>.png` leads to `target/<key>.png` beside it; `mask/`, `meta/` and further",
    "folders hold files of the same name.",
)


def export_folders(dataset: FinishedDataset, out: Path) -> None:
    """Fill the empty folder `out`. Memory: one sample."""
    fields = {stream.recipe: dataset.fields(stream.recipe) for stream in dataset.streams}
    for stream in dataset.streams:
        folder = out / stream.recipe / stream.split
        places = {}
        for field in fields[stream.recipe]:
            name, _, suffix = field.rpartition(".")
            places[field] = (folder / name, suffix)
            (folder / name).mkdir(parents=True)
        for shard in dataset.shards(stream):
            for key, sample in dataset.samples(stream.recipe, shard):
                for field, data in sample.items():
                    place, suffix = places[field]
                    (place / f"{key}.{suffix}").write_bytes(data)
    write_export_card(out, dataset, fields, _USE)
