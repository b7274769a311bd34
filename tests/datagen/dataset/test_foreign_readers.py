"""Shards open unchanged in webdataset and in Hugging Face `datasets`, with every sample there."""

import sys
from pathlib import Path

import pytest

from tests.support.foreign_readers import assert_readable_by_huggingface, assert_readable_by_webdataset
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

# The second recipe's id continues the first one's, and whole shards are holes.
TINY = TinyDataset(
    recipes={
        "relight": TinyRecipe(groups={"train": 5, "validation": 1, "test": 2}),
        "relight-two": TinyRecipe(groups={"train": 3}, pairs_per_group=1, size_WH=(16, 40)),
        "removal": TinyRecipe(groups={"train": 3, "test": 3}, kind="photo_removal"),
    },
    holes={
        "relight-train-00000003": "nothing in the frame",
        **{f"relight-train-{index:08d}": "the mesh is empty" for index in (8, 9)},
        # The columns are taken from the first shard, which is empty here.
        **{f"removal-train-{index:08d}": "too dark" for index in range(4)},
        "removal-test-00000000": "too dark",
    },
)
PAIRS = (10 - 3) + 2 + 4 + 3 + (6 - 4) + (6 - 1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TINY.write(tmp_path_factory.mktemp("foreign") / "tiny")


def test_webdataset_decodes_every_sample(dataset: Path) -> None:
    assert assert_readable_by_webdataset(dataset) == PAIRS


@pytest.mark.parametrize("streaming", [True, False])
def test_huggingface_decodes_every_sample(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streaming: bool
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    assert assert_readable_by_huggingface(dataset, tmp_path, streaming=streaming) == PAIRS


def test_reading_does_not_need_ray_or_bpy(dataset: Path) -> None:
    import subprocess

    code = (
        "import sys; from pathlib import Path; from pairbridge.datagen.shards.reader import open_shards;"
        f"assert sum(len(s) for s in open_shards(Path({str(dataset)!r}), 'relight', 'train')) == 7;"
        "assert not {'ray', 'bpy', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
