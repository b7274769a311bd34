"""Translation, encoding and evaluation go to the device and the precision that a training goes to.

Shown without a GPU: where `found_device` answers with torch's meta device, each command's own path ends at
its copy to the host, as there are no values to copy; an operation on two devices would end it before, with
another error (see tests/training/bridge_training/test_other_device.py).
"""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.pipelines.inference import encoding, guiding
from pairbridge.pipelines.inference.encoding import encode_dataset
from pairbridge.pipelines.inference.guiding import open_guide, read_task
from pairbridge.pipelines.inference.translation import TranslationRequest, open_model, translate_images
from pairbridge.training.bridge.samplers import DbimSampler, EulerMaruyamaSampler, HeunSampler, Sampler
from pairbridge.training.bridge_training import translation_model
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.condition_specs import LIGHT, MASK
from pairbridge.training.data.pairs import Pair
from pairbridge.training.data.role_choice import RoleChoice
from pairbridge.training.engine.torch_devices import found_device
from pairbridge.training.evaluation.evaluate import evaluate
from pairbridge.training.evaluation.evaluation_config import EvaluationConfig
from pairbridge.training.evaluation.set_figures import SetFigures
from pairbridge.training.evaluation.weighted_figures import WeightedFigures
from pairbridge.training.guidance.guide_config import GuideConfig
from pairbridge.training.perceptual.inception import InceptionV3
from pairbridge.training.perceptual.lpips import Lpips
from tests.pipelines.commands.image_commands import write
from tests.pipelines.inference.translating_models import write_model
from tests.support.toy_relighting import write_toy_dataset
from tests.training.bridge_training.test_training_loop import config as training_config
from tests.training.perceptual.test_lpips import random_weights

META = torch.device("meta")
RANDOM = np.random.default_rng(0)
SOURCES = RANDOM.integers(0, 256, (3, 32, 48, 3), dtype=np.uint8)
MASKS = 255 * RANDOM.integers(0, 2, (3, 32, 48), dtype=np.uint8)
FLOW = {"bridge": {"sigma": 0, "start": "noise"}, "timesteps": {"kind": "uniform"}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with a model of random weights and data to judge it on."""
    folder = tmp_path_factory.mktemp("run")
    write_toy_dataset(folder / "data", "relighting", {"train": 4, "validation": 3, "test": 7})
    write_model(folder / "train" / "checkpoints", bridge={"sigma": 0.5})
    return folder


@pytest.fixture
def on_meta(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    for module in (translation_model, encoding, guiding):
        monkeypatch.setattr(module, "found_device", lambda wanted: META)

    def ends_at_the_copy(work: Callable[[], object]) -> None:
        with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
            work()

    return ends_at_the_copy


def evaluation(**changes) -> EvaluationConfig:
    sources = [{"name": "unseen", "path": "run:data", "recipe": "relighting"}]
    small = {"sources": sources, "size": 32, "threads": 1, "sample_images": 0, "worst_images": 0}
    return EvaluationConfig.model_validate({**small, "bootstrap_resamples": 100, **changes})


def judge(run: Path, out: Path, **changes) -> dict[str, float]:
    """PSNR of the model, by pair."""
    evaluate(evaluation(**changes), run / "train", out, run_root=run)
    with open(out / "unseen.csv", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["method"] == "model"]
    return {row["key"]: float(row["psnr"]) for row in rows}


def test_evaluation_translation_guidance_and_encoding_reach_their_copy_to_the_host(
    run: Path, tmp_path: Path, on_meta: Callable[[Callable[[], object]], None]
) -> None:
    on_meta(lambda: evaluate(evaluation(device="cuda"), run / "train", tmp_path, run_root=run))
    request = TranslationRequest(image=SOURCES[0], mask=MASKS[0])
    on_meta(lambda: translate_images(open_model(run, "cuda"), [request]))
    files = {"image": write(tmp_path / "i.png", SOURCES[0]), MASK: write(tmp_path / "m.png", MASKS[0])}
    losses = GuideConfig.model_validate({"losses": [{"kind": "range"}], "steps": 4})
    task = read_task({**files, LIGHT: None}, 0)
    on_meta(lambda: open_guide(run, losses, 0, "cuda", "fp32")([task], [tmp_path / "out.png"]))
    on_meta(
        lambda: encode_dataset(
            training_config(device="cuda"),
            run / "data",
            recipes=(),
            split="train",
            roles=RoleChoice(),
            batch_size=2,
        )
    )


def test_fid_and_lpips_are_taken_where_their_networks_are() -> None:
    features, heads = random_weights()
    pairs = [Pair("0", SOURCES[0], SOURCES[0], MASKS[0], {})] * 2
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        WeightedFigures(lpips=Lpips(features, heads).to(META))([SOURCES[1]] * 2, pairs)
    with META:
        network = InceptionV3().eval()
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        SetFigures(network, local=True).add("model", [SOURCES[1]] * 2, pairs)


def test_a_gpu_that_is_not_there_and_a_device_of_no_name_are_refused(run: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    for use in (
        lambda: open_model(run, "cuda"),
        lambda: evaluate(evaluation(device="cuda"), run / "train", run / "evaluation", run_root=run),
    ):
        with pytest.raises(ConfigError, match="torch finds no GPU"):
            use()
    with pytest.raises(ConfigError, match="no device 'gpu'"):
        found_device("gpu")


@pytest.mark.parametrize(
    ("model", "steps", "sampler", "guidance"),
    [
        ({"bridge": {"sigma": 0.5}}, 4, EulerMaruyamaSampler(), 1.0),
        ({"bridge": {"sigma": 0.5}, "conditions": ("mask", "source")}, 4, DbimSampler(eta=0.7), 1.0),
        ({"conditions": ("mask", "noise")}, 1, translation_model.DEFAULT_SAMPLER, 1.0),
        (FLOW, 3, HeunSampler(), 1.0),
    ],
    ids=["euler_maruyama", "dbim", "student", "flow"],
)
def test_with_a_seed_each_an_image_does_not_depend_on_its_company(
    tmp_path: Path, model: dict, steps: int, sampler: Sampler, guidance: float
) -> None:
    opened = TranslationModel.load(write_model(tmp_path, **model))
    how = {"steps": steps, "sampler": sampler, "guidance": guidance}
    together = opened.predict_batch(SOURCES, MASKS, seed=[5, 6, 5], **how)
    apart = [
        opened.predict_batch(SOURCES[k : k + 1], MASKS[k : k + 1], seed=seed, **how)[0]
        for k, seed in enumerate((5, 6, 5))
    ]
    assert np.abs(together - np.stack(apart)).max() < 1e-4
    # The noise of another seed is seen, so that the equality says something.
    assert np.abs(opened.predict_batch(SOURCES, MASKS, seed=[6, 6, 6], **how) - together).max() > 1e-2


def test_figures_do_not_depend_on_the_batch_size(run: Path, tmp_path: Path) -> None:
    noisy = {"sampling_steps": 4, "sampler": {"kind": "euler_maruyama"}}
    one, three = (judge(run, tmp_path / str(size), batch_size=size, **noisy) for size in (1, 3))
    assert one.keys() == three.keys()
    assert len(one) == 7
    assert one == pytest.approx(three, rel=1e-3)


def test_bf16_is_close_to_fp32_and_not_the_same(run: Path, tmp_path: Path) -> None:
    exact, halved = (judge(run, tmp_path / name, precision=name) for name in ("fp32", "bf16"))
    assert exact != halved
    assert halved == pytest.approx(exact, abs=0.1)
    translated = [
        translate_images(
            open_model(run, precision=precision), [TranslationRequest(image=SOURCES[0], mask=MASKS[0])]
        )[0]
        for precision in ("fp32", "bf16")
    ]
    difference = np.abs(translated[0].astype(int) - translated[1])
    assert 0 < difference.mean() < 2
