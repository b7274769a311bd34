"""Every reader of users' data, fed thousands of damaged files in a process of its own: it answers with a
value or with its own error, soon and in little memory.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.security.fuzz_process import MOST_SECONDS
from tests.security.readers import every_reader

ROOT = Path(__file__).resolve().parents[2]
# A damaged file of a few kilobytes may rightly claim a picture of some megapixels; nothing needs more.
MOST_MIB = 512

# Where files from elsewhere are decoded: each call stands behind a reader of the list, or has a reason here.
DECODER = re.compile(
    r"json\.loads?\(|json\.JSONDecoder|yaml\.(?:safe_)?load|round_trip\.load|YAML\(|cv2\.im(?:read|decode)\w*\("
    r"|VideoCapture|Image\.open\(|OpenEXR\.File\(|tarfile\.open\(|zipfile\.ZipFile\(|h5py\.File\(|np\.load\("
    r"|read_array\(|np\.fromfile\(|pickle\.loads?\(|torch\.load\(|\bload_file\(|safe_open\(|from_pretrained\("
    r"|gzip\.open\b|sqlite3\.connect\(|imageio|model_validate_json\("
)
DECODERS = {
    "datagen/core/bounded_json.py": "the one reader of JSON",
    "datagen/core/yaml_text.py": "the one reader of YAML",
    "datagen/core/extras.py": "pip's own note of where it installed this from",
    "datagen/core/record_files.py": "records: their size, depth and values are checked first",
    "datagen/shards/sample.py": "fields: PNG after its claims, arrays after their header",
    "datagen/assets/photographs.py": "pictures, after their claims",
    "datagen/assets/radiance_files.py": "the usual form alone, written anew, reaches OpenCV",
    "datagen/assets/exr_files.py": "after the claims of its header",
    "datagen/assets/object_files.py": "USDZ: what is packed is refused",
    "datagen/imports/foreign_tars.py": "foreign tars: members are listed, never extracted",
    "datagen/imports/field_decoding.py": "HDF5: one array, after its claims",
    "datagen/sourcing/sources.py": "what a map that we baked says of itself, in its own header",
    "datagen/sourcing/credits.py": "a packed index: read to its limit",
    "datagen/sourcing/photo_audit.py": "the round trip of a file that the one reader of YAML took before",
    "datagen/imaging/degradations.py": "a JPEG that it encoded itself",
    "datagen/imaging/photographic_finish.py": "likewise",
    "datagen/dataset/card.py": "writes YAML",
    "datagen/exports/energon.py": "writes an index of its own",
    "datagen/blender/exr_passes.py": "what our own child rendered",
    "datagen/blender/wire.py": "what our own child says",
    "datagen/blender/interpreter.py": "what our own script says of an interpreter that the user names",
    "datagen/blender/child/server.py": "settings that our own process sends",
    "datagen/models/weights/pretrained.py": "after the JSON beside it was looked through; safetensors alone",
    "datagen/models/matting/birefnet_weights.py": "safetensors, whose library checks its header",
    "datagen/models/relighting/iclight_weights.py": "safetensors, whose library checks its header",
    "training/perceptual/inception.py": "safetensors, whose library checks its header",
    "training/perceptual/lpips.py": "published weights that the user names, as plain tensors alone",
    "training/engine/checkpoint.py": "the user's own checkpoints",
    "training/engine/run_log.py": "the user's own log",
    "training/published/published_folders.py": "after digests, components and the JSON of every part",
    "pipelines/runs/run_metrics.py": "the run's own weights and lists",
    "pipelines/runs/cluster_training.py": "the run's own log",
    "pipelines/runs/stages.py": "what was written a line before",
    "datagen/shards/proven_files.py": "the reader's own record of what it has hashed",
    "datagen/blender/confinement.py": "what our own process hands to its child",
    "pipelines/integrations/comfyui_latent_bridge.py": "a published folder, by its own pipeline",
    "datagen/core/folder_lock.py": "the holder's own record",
    "datagen/recipes/scene_draws.py": "what was written a line before",
    "pipelines/inference/publishing.py": "a line of the card that it writes",
    "pipelines/shelves/lock.py": "the holder's own record",
    "pipelines/shelves/ledger.py": "the dataset's own ledger",
    "pipelines/app/many_pictures.py": "writes an archive of its own",
    "pipelines/app/painted_mask.py": "the page's own text; its PNG goes through the reader of pictures",
    "pipelines/checks/calibration_report.py": "what was written a line before",
}


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return list(every_reader(tmp_path_factory.mktemp("valid")))


def fuzzed(names: list[str], inputs: int, cache: Path, seed: int = 1) -> list[dict]:
    command = [sys.executable, "-m", "tests.security.fuzz_process", str(inputs), str(seed), *names]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PAIRBRIDGE_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-2000:]}"
    # Libraries print to stdout, too.
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"reader"')]
    assert [result["reader"] for result in results] == names
    return results


def check(result: dict, inputs: int) -> None:
    assert not result["failures"], "\n".join([result["reader"], *result["failures"]])
    assert result["inputs"] == inputs
    assert result["slowest_s"] < MOST_SECONDS, result
    assert result["grown_mib"] < MOST_MIB, result
    print(json.dumps(result))


def test_every_reader_answers_a_sample_of_damaged_files(names: list[str], tmp_path: Path) -> None:
    for result in fuzzed(names, 15, tmp_path):
        check(result, 15)


# Half a minute each, so that two workers of the test run share them.
PARTS = 4


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_every_reader_answers_ten_thousand_damaged_files(names: list[str], tmp_path: Path, part: int) -> None:
    for result in fuzzed(names[part::PARTS], 10_000, tmp_path):
        check(result, 10_000)


def test_every_decoder_is_called_behind_a_reader() -> None:
    """A new call of a decoder belongs into a reader of the list, or needs a reason beside the others."""
    calling = {
        path.relative_to(ROOT).as_posix()
        for top in ("datagen", "training", "pipelines", "pairbridge")
        for path in (ROOT / top).rglob("*.py")
        if DECODER.search(path.read_text())
    }
    assert calling == set(DECODERS)
