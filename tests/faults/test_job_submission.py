"""`ray job submit` on a cluster whose workers see neither the driver's assets nor its output: they get the
files by checksum, and send what they made to a committer.
"""

from pathlib import Path

import pytest
from blind_cluster import blind_cluster
from launching import promised

from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.progress import LogLines
from pairbridge.pipelines.reading.config_files import load_config
from pairbridge.pipelines.shelves.ledger import read_ledger
from tests.support.ray_jobs import submit
from tests.support.tiny_removal import add_photos
from tests.support.tiny_rendered import write_assets

pytestmark = [pytest.mark.render, pytest.mark.long, pytest.mark.xdist_group("clusters")]

DATASET = """\
name: submitted
seed: 3
assets:
  embedded: false
  objects: [ASSETS/objects]
  hdris: [ASSETS/hdris]
  photos: [ASSETS/photos]
lightings: {width: 64, rigs: {train: 2}}
render: {samples: 4, lighting_copy_width: 32}
groups_per_shard: 2
recipes:
  swap:
    kind: relighting_swap
    groups: {train: 3}
    size_WH: [32, 32]
    lightings_per_group: 2
    lighting_kinds: {hdri: 1, rig: 1}
  holes:
    kind: photo_removal
    groups: {train: 3}
    size_WH: [32, 32]
"""


def test_a_job_on_a_cluster_that_sees_no_folder_makes_the_same_bytes(tmp_path, ray_address):
    hidden = tmp_path / "driver"
    write_assets(hidden / "assets")
    add_photos(hidden / "assets" / "photos", "wave-a", "wave-b", "wave-c")
    submitted = tmp_path / "working dir"
    submitted.mkdir()
    (submitted / "dataset.yaml").write_text(DATASET.replace("ASSETS", str(hidden / "assets")))
    out = hidden / "out"
    with blind_cluster(hidden, tmp_path) as cluster:
        done = submit(
            cluster.head,
            submitted,
            [
                "pairbridge",
                "generate",
                "dataset.yaml",
                "--out",
                str(out),
                "--address",
                "auto",
                "--workers",
                "2",
            ],
        )
        said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "succeeded" in said
    assert "2 starting" in said
    # Nothing of the driver's was to be seen, and all of it came by checksum.
    assert cluster.seen.read_text() == ""
    cached = {path.name for path in cluster.cache.rglob("*") if path.is_file()}
    assert {"shape-0.obj", "lamp-0.exr", "wave-a.png"} & cached
    assert len([event for event in read_ledger(out) if event["event"] == "group"]) == 6

    assert verify_dataset(out, decode=True).ok
    config = load_config(submitted / "dataset.yaml", DatasetConfig)
    calm = generate(config, tmp_path / "calm", workers=1, on_progress=LogLines()).dataset_dir
    assert promised(out) == promised(calm)
    assert str(cluster.cache) not in b"".join(promised(out).values()).decode(errors="replace")
    assert cluster.head.environment["RAY_AUTH_TOKEN"].encode() not in b"".join(
        path.read_bytes() for path in Path(out).rglob("*") if path.is_file()
    )
