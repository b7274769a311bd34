"""A run of photographs alone, which no test needs Blender for: real matting models, real Ray, a real
training.

A fifth of its mix is a folder of removal pairs that was imported.
"""

from pathlib import Path

import skimage
from PIL import Image

from pairbridge.datagen.imports.import_config import ImportConfig
from pairbridge.datagen.imports.indexing import import_dataset
from tests.support.foreign_datasets import write_folders

RUN = """\
name: small
dataset: dataset.yaml
mix: mix.yaml
training: training.yaml
evaluation: evaluation.yaml
workers: 2
"""
DATASET = """\
name: small
seed: 5
assets:
  families: []
  photos: [photos]
groups_per_shard: 3
recipes:
  relit:
    kind: photo_relighting
    groups: {train: 6, test: 3}
    pairs_per_group: 2
    size_WH: [32, 32]
    background_from: {photo: 1.0}
    # Above what a crop can be: some pairs are refused, and end in quarantine.
    min_change: 9.0
    redraws: 0
  holes:
    kind: photo_removal
    groups: {train: 3}
    pairs_per_group: 2
    size_WH: [32, 32]
"""
MIX = """\
sources:
  - {name: relit, path: "run:dataset", recipe: relit, weight: 0.7}
  - {name: holes, path: "run:dataset", recipe: holes, weight: 0.3}
  - {name: plates, path: imported, recipe: elsewhere, weight: 0.25}
"""
TRAINING = """\
steps: 6
batch_size: 5
size: 16
denoiser: {widths: [8, 16], head_width: 8, norm_groups: 4}
timesteps: {kind: discrete, times: [0.0], weights: [1.0]}
optimiser: {warmup_images: 0}
threads: 1
loader_workers: 0
log_every: 2
checkpoint_every: 3
watch: {trackers: []}
"""
EVALUATION = """\
size: 32
threads: 1
bootstrap_resamples: 100
sample_images: 2
sources:
  - {name: relit, path: "run:dataset", recipe: relit}
"""
IMPORT = {
    "name": "elsewhere",
    "layout": {
        "kind": "folders",
        "task": "removal",
        "fields": {"source": "before/{id}.jpg", "target": "after/{id}.png", "mask": "mask/{id}_mask.png"},
    },
    "splits": {"kind": "all", "split": "train"},
    "licence": "CC-BY-4.0",
    "author": "Plates & Sons",
}
CATALOGUE = """\
own-chelsea: {split: test, licence: CC0-1.0, author: "<b>Jo</b> & Co", source: "https://example.org/chelsea"}
own-coffee: {split: test, licence: CC0-1.0, author: "<b>Jo</b> & Co"}
"""


def write_small_run(folder: Path) -> Path:
    """The five files, two photographs of their own, and an import; returns the run's YAML."""
    (folder / "photos").mkdir(parents=True)
    for name in ("chelsea", "coffee"):
        # Upside down it is another picture than the embedded one, which is in another split.
        with Image.open(Path(skimage.__file__).parent / "data" / f"{name}.png") as picture:
            picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(folder / "photos" / f"own-{name}.png")
    (folder / "photos" / "catalogue.yaml").write_text(CATALOGUE)
    root = write_folders(folder / "elsewhere", [f"scene{number}/a" for number in range(4)])
    import_dataset(ImportConfig.model_validate({**IMPORT, "root": root}), folder / "imported")
    texts = {"run": RUN, "dataset": DATASET, "mix": MIX, "training": TRAINING, "evaluation": EVALUATION}
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "run.yaml"
