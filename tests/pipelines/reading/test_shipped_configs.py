"""Every configuration that comes with the package can be run as it is."""

import pytest

from pairbridge.datagen.assets.catalogue import Catalogue
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.pipelines.generation.open_plan import plan_before_baking
from pairbridge.pipelines.generation.plan_summary import estimated_bytes, estimated_shard_bytes
from pairbridge.pipelines.reading.config_files import find_config, load_config, shipped_names
from pairbridge.pipelines.runs.run_config import load_run
from pairbridge.training.bridge.sample_loop import check_grid
from pairbridge.training.bridge.samplers import uniform_grid
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.schedule import Schedule
from pairbridge.training.distillation.distillation_config import DistillationConfig
from pairbridge.training.evaluation.evaluation_config import EvaluationConfig
from pairbridge.training.guidance.guide_config import GuideConfig
from pairbridge.training.networks.autoencoders import HaarConfig, build_autoencoder

PRODUCTION = ("relighting", "my_assets")


@pytest.mark.render
@pytest.mark.parametrize("name", shipped_names("datasets"))
def test_a_dataset_can_be_planned_down_to_its_last_group(name: str) -> None:
    plan = plan_before_baking(load_config(find_config("datasets", name), DatasetConfig))
    for stream in plan.streams:
        assert plan.group(stream, stream.num_groups - 1).keys[-1] == stream.key(
            stream.num_groups - 1, stream.pairs_per_group - 1
        )


@pytest.mark.parametrize("name", PRODUCTION)
def test_production_renders_at_full_quality(name: str) -> None:
    config = load_config(find_config("datasets", name), DatasetConfig)
    assert config.render.samples >= 64
    assert config.recipes["relighting"].mean_pixels >= 512**2


def test_shards_of_what_takes_a_cluster_have_one_to_four_gigabytes() -> None:
    sizes = {}
    for name in shipped_names("datasets"):
        plan = DatasetPlan(load_config(find_config("datasets", name), DatasetConfig), Catalogue(()))
        if estimated_bytes(plan) > 10e9:
            sizes |= {(name, stream.name): estimated_shard_bytes(plan, stream) for stream in plan.streams}
    full = {names: size for names, size in sizes.items() if names[1].startswith("train-")}
    assert len(full) >= 5
    assert {names for names, size in full.items() if not 1e9 <= size <= 4e9} == set()


def test_a_plan_counts_what_a_recipe_stores_beside_its_pictures() -> None:
    def bytes_with(store: list[str]) -> int:
        settings = [f"recipes.relighting.store={store}"]
        config = load_config(find_config("datasets", "relighting-small"), DatasetConfig, settings)
        return estimated_bytes(DatasetPlan(config, Catalogue(())))

    plain, depth, albedo = (bytes_with(store) for store in ([], ["depth"], ["albedo"]))
    # float32, and a third picture beside source and target.
    assert depth > 1.5 * plain
    assert 1.2 * plain < albedo < 1.6 * plain


@pytest.mark.parametrize("name", ["demo", "my_assets", "people", "reference", "relighting"])
def test_relighting_varies_light_by_no_more_than_a_photograph_leaves_open(name: str) -> None:
    """0.3 EV and 5 %: more makes albedo unknowable (docs/log.md)."""
    relighting = load_config(find_config("datasets", name), DatasetConfig).recipes["relighting"]
    assert (relighting.strength, relighting.tint) == ((0.81, 1.23), 0.05)


@pytest.mark.parametrize("name", ["demo", "my_assets", "people", "relighting"])
def test_most_scenes_stand_on_a_ground(name: str) -> None:
    assert load_config(find_config("datasets", name), DatasetConfig).recipes["relighting"].standing >= 0.8


def test_the_mixes_say_what_their_names_promise() -> None:
    shares = {
        name: [
            float(share)
            for share in Schedule(
                [source.weight for source in load_config(find_config("mixes", name), MixConfig).sources]
            ).shares
        ]
        for name in ("demo", "seventy_thirty")
    }
    assert shares == {"demo": [0.9, 0.1], "seventy_thirty": [0.7, 0.3]}


@pytest.mark.parametrize("kind", ["mixes", "training", "distillation", "evaluation"])
def test_every_part_loads(kind) -> None:
    models = {
        "mixes": MixConfig,
        "training": TrainingConfig,
        "distillation": DistillationConfig,
        "evaluation": EvaluationConfig,
    }
    for name in shipped_names(kind):
        load_config(find_config(kind, name), models[kind])


@pytest.mark.parametrize("name", shipped_names("runs"))
def test_the_parts_of_a_run_fit_together(name: str, tmp_path) -> None:
    run = load_run(name, tmp_path)
    recipes = run.dataset.recipes
    for source in run.mix.sources:
        assert recipes[source.recipe].groups[source.split] > 0
    for source in run.evaluation.sources:
        assert recipes[source.recipe].groups[run.evaluation.split] > 0
    training = run.training
    # A published autoencoder is not here to ask; all of SDXL's kind shrink eight times.
    is_haar = isinstance(training.autoencoder, HaarConfig)
    factor = build_autoencoder(training.autoencoder).factor if is_haar else 8
    training.bucket_sequence(factor * training.denoiser.side_multiple)
    check_grid(uniform_grid(run.evaluation.sampling_steps), run.training.timesteps)


@pytest.mark.parametrize("name", shipped_names("guidance"))
def test_an_edit_loads_with_its_references_beside_it(name: str) -> None:
    config = load_config(find_config("guidance", name), GuideConfig)
    references = [loss.reference for loss in config.losses if hasattr(loss, "reference")]
    assert all(reference.parent == find_config("guidance", name).parent for reference in references)
