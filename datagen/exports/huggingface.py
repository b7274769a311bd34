"""Hugging Face parquet: one configuration per recipe, one file per shard, `load_dataset(<out>, <recipe>)`.

| column | type |
|---|---|
| `key` | string |
| one per image field (`source`, `target`, `mask`, ...) | Image: the PNG as it is in the shard |
| one per array field (`depth`, `normal`) | binary: the .npy file; `numpy.load(io.BytesIO(value))` |
| `meta` | string: the sample's meta.json |
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairbridge.datagen.core.extras import require
from pairbridge.datagen.core.json_digest import canonical_json
from pairbridge.datagen.dataset.verify import StreamStatus
from pairbridge.datagen.exports.finished import FinishedDataset, write_export_card

if TYPE_CHECKING:
    import pyarrow as pa

# Readers take whole row groups into memory; a hundred rows is what the Hub recommends for images.
_ROWS = 100
_ROW_GROUP_BYTES = 64 << 20

_DTYPES = {"png": "image", "npy": "binary", "json": "string"}


def export_huggingface(dataset: FinishedDataset, out: Path) -> None:
    """Fill the empty folder `out`. Memory: one row group, up to 64 MiB or one sample. Raises ConfigError
    without pyarrow.
    """
    infos: dict[str, dict[str, Any]] = {}
    for stream in dataset.streams:
        fields = dataset.fields(stream.recipe)
        info = infos.setdefault(
            stream.recipe, {"config_name": stream.recipe, "features": _features_yaml(fields), "splits": []}
        )
        info["splits"].append(_export_stream(dataset, stream, fields, out))
    for info in infos.values():
        info["download_size"] = sum(split.pop("download_size") for split in info["splits"])
        info["dataset_size"] = sum(split["num_bytes"] for split in info["splits"])
    first = dataset.streams[0]
    write_export_card(
        out,
        dataset,
        {recipe: dataset.fields(recipe) for recipe in infos},
        [
            "```python",
            "from datasets import load_dataset",
            f'load_dataset("path/to/{dataset.manifest.name}", "{first.recipe}", split="{first.split}")',
            "```",
        ],
        tags=["image", "paired", "pairbridge"],
        dataset_info=list(infos.values()),
        configs=[
            {
                "config_name": recipe,
                "data_files": [
                    {"split": split["name"], "path": f"data/{recipe}/{split['name']}-*.parquet"}
                    for split in info["splits"]
                ],
            }
            for recipe, info in infos.items()
        ],
    )


def _export_stream(
    dataset: FinishedDataset, stream: StreamStatus, fields: tuple[str, ...], out: Path
) -> dict[str, Any]:
    """Write the stream's files; returns its entry of the card's `splits`."""
    pyarrow, parquet = _pyarrow()
    schema = _schema(pyarrow, fields)
    folder = out / "data" / stream.recipe
    folder.mkdir(parents=True, exist_ok=True)
    total = {"name": stream.split, "num_bytes": 0, "num_examples": 0, "download_size": 0}
    for shard in dataset.shards(stream):
        path = folder / f"{stream.split}-{shard.name[-6:]}.parquet"
        # Images are compressed already; arrays are not.
        with parquet.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
            for rows, num_bytes in _row_groups(dataset.samples(stream.recipe, shard), fields):
                writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
                total["num_bytes"] += num_bytes
                total["num_examples"] += len(rows)
        total["download_size"] += path.stat().st_size
    return total


def _row_groups(
    samples: Iterable[tuple[str, dict[str, bytes]]], fields: tuple[str, ...]
) -> Iterator[tuple[list[dict[str, Any]], int]]:
    rows, num_bytes = [], 0
    for key, sample in samples:
        size = sum(map(len, sample.values()))
        if rows and (len(rows) == _ROWS or num_bytes + size > _ROW_GROUP_BYTES):
            yield rows, num_bytes
            rows, num_bytes = [], 0
        rows.append({"key": key, **{_column(field): _value(key, field, sample[field]) for field in fields}})
        num_bytes += size
    yield rows, num_bytes


def _column(field: str) -> str:
    return field.rpartition(".")[0]


def _value(key: str, field: str, data: bytes) -> Any:
    if field.endswith(".png"):
        return {"bytes": data, "path": f"{key}.{field}"}
    return data.decode() if field.endswith(".json") else data


def _features_yaml(fields: tuple[str, ...]) -> list[dict[str, str]]:
    columns = [{"name": _column(field), "dtype": _DTYPES[field.rpartition(".")[2]]} for field in fields]
    return [{"name": "key", "dtype": "string"}, *columns]


def _schema(pyarrow: Any, fields: tuple[str, ...]) -> "pa.Schema":
    """With the features written into the file too, so that one that is opened alone has its images."""
    types = {"image": pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})}
    types |= {"binary": pyarrow.binary(), "string": pyarrow.string()}
    columns = _features_yaml(fields)
    features = {
        column["name"]: {"_type": "Image"}
        if column["dtype"] == "image"
        else {"_type": "Value", "dtype": column["dtype"]}
        for column in columns
    }
    return pyarrow.schema(
        [(column["name"], types[column["dtype"]]) for column in columns],
        metadata={"huggingface": canonical_json({"info": {"features": features}})},
    )


def _pyarrow() -> tuple[Any, Any]:
    require("hf", by="an export to parquet files", consequence="none can be written")
    # An extra.
    import pyarrow
    import pyarrow.parquet

    return pyarrow, pyarrow.parquet
