"""A trained model as a folder for others: the diffusers pipeline, and a card that says what made it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from pairbridge.datagen.assets.licences import hub_licence, strictest_licence
from pairbridge.datagen.core.atomic_files import folder_atomically, write_atomically
from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.core.record_files import read_output
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.imports.import_manifest import ImportManifest, is_import
from pairbridge.pipelines.inference.found_checkpoints import newest_checkpoint, removes, run_of
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.condition_specs import LIGHT, MASK, NOISE, SOURCE
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.engine.checkpoint import CheckpointState, read_state
from pairbridge.training.evaluation.baselines import method_label
from pairbridge.training.evaluation.evaluate import checked_evaluation
from pairbridge.training.evaluation.metrics import METRICS
from pairbridge.training.evaluation.ratios import RATIOS, ratio_cell
from pairbridge.training.published.published_folders import write_published

CARD_NAME = "README.md"


def publish(source: str | Path, out: str | Path) -> Path:
    """Write the newest checkpoint of `source`, a run's folder or a checkpoint's, as the new folder `out`.

    The folder appears whole or not at all. Raises ConfigError where `out` exists or `source` holds no model.
    """
    out = Path(out)
    with folder_atomically(out) as folder:
        checkpoint = newest_checkpoint(Path(source))
        model = TranslationModel.load(checkpoint)
        card = model_card(out.name, checkpoint, sum(p.numel() for p in model.denoiser.parameters()))
        write_published(model, folder, removes=removes(read_state(checkpoint)))
        write_atomically(folder / CARD_NAME, [card.encode()])
    return out


def model_card(name: str, checkpoint: Path, parameters: int) -> str:
    """The card's text: use, data with licences, mix, training and metrics, from what lies around it."""
    state = read_state(checkpoint)
    run = run_of(checkpoint)
    sources = _data(state, run)
    licences = sorted({licence for source in sources for licence, _, _ in source["licences"]})
    strictest = strictest_licence(licences)
    front = [
        "---",
        "library_name: diffusers",
        "pipeline_tag: image-to-image",
        f"license: {hub_licence(strictest)}",
        "tags: [pairbridge, latent-bridge-matching]",
        "---",
    ]
    sections = (
        [f"\n# {name}\n", *_use(name, TrainingConfig.model_validate(state.config), removes(state))],
        ["## Data\n", *_data_lines(sources)],
        ["## Mix\n", *_mix_lines(state)],
        ["## Training\n", *_training_lines(state, checkpoint, parameters)],
        ["## Metrics\n", *_metric_lines(run)],
        ["## Licences\n", *_licence_lines(sources, strictest)],
    )
    return "\n".join(front + [line for section in sections for line in (*section, "")])


def _data(state: CheckpointState, run: Path | None) -> list[dict[str, Any]]:
    """Per source of the mix: name, dataset, recipe; (licence, author, number of assets) of its assets."""
    found = []
    for source in MixConfig.model_validate(state.mix).sources:
        entry = {"name": source.name, "recipe": source.recipe, "dataset": None, "licences": []}
        found.append(entry)
        try:
            folder = source.folder(run or Path())
            if is_import(folder):
                imported = ImportManifest.from_folder(folder)
                entry |= {"dataset": imported.name, "licences": [(imported.licence, imported.author, 1)]}
            else:
                manifest = DatasetManifest.from_folder(folder)
                counts = Counter((asset.licence, asset.author) for asset in manifest.assets)
                listed = [(licence, author, count) for (licence, author), count in sorted(counts.items())]
                entry |= {"dataset": manifest.name, "licences": listed}
        except PairbridgeError:
            # The data of a checkpoint need not be on this machine; the card then says that it does not know.
            continue
    return found


def _use(name: str, config: TrainingConfig, takes_hole: bool) -> list[str]:
    """How the folder is used from the one that it lies in, once pictures of these names lie there too."""
    seen = [one for one in config.denoiser.conditions if one.field not in (SOURCE, NOISE)]
    maps = {one.field for one in seen if one.as_irradiance}
    conditions = {one.field: one.classes[0] if one.classes else f"{one.field}.png" for one in seen}
    if takes_hole:
        conditions[MASK] = f"{MASK}.png"
    lines = ["An image-to-image model: a latent bridge (arXiv 2503.07535), made with pairbridge.\n"]
    classes = {one.field for one in config.denoiser.conditions if one.classes}
    options = {MASK: "--mask", LIGHT: "--light-map", **dict.fromkeys(classes, "--class")}
    given = "".join(
        f" {options[field]} {value}"
        if field in options
        else f" --condition {field}={field}.hdr"
        if field in maps
        else f" --condition {field}={value}"
        for field, value in conditions.items()
    )
    lines += ["```sh", f"pairbridge translate {name} picture.png --out result.png{given}", "```\n"]
    values = {
        field: f'"{value}"'
        if field in classes
        else f'np.load("{field}.npy")'
        if field in maps
        else f'Image.open("{value}")'
        for field, value in conditions.items()
    }
    arguments = f", mask={values.pop(MASK)}" if MASK in values else ""
    if values:
        arguments += ", conditions={" + ", ".join(f'"{field}": {one}' for field, one in values.items()) + "}"
    lines += [
        "With torch and diffusers alone; the code that it trusts is `pipeline.py` of this folder:\n",
        "```python",
        *(["import numpy as np"] if maps else []),
        "from diffusers import DiffusionPipeline",
        "from PIL import Image",
        "",
        f'folder = "{name}"',
        "pipe = DiffusionPipeline.from_pretrained(folder, custom_pipeline=folder, trust_remote_code=True)",
        f'output = pipe(Image.open("picture.png"){arguments}, num_inference_steps=1, seed=0)',
        'output.images[0].save("result.png")',
        "```\n",
        "`UNet2DModel.from_pretrained` and the like read its parts. `sha256sum -c SHA256SUMS` says whether it"
        " is whole.\n",
    ]
    times = config.timesteps.model_dump(mode="json")
    lines.append(
        f"Steps whose times it was trained at (`{json.dumps(times)}`) are taken, others are refused."
    )
    return lines


def _data_lines(sources: list[dict[str, Any]]) -> list[str]:
    return [
        f"- `{source['name']}`: recipe `{source['recipe']}` of "
        + (f"dataset `{source['dataset']}`" if source["dataset"] else "a dataset that was not at hand")
        for source in sources
    ]


def _mix_lines(state: CheckpointState) -> list[str]:
    mix = MixConfig.model_validate(state.mix)
    weights = sum(source.weight for source in mix.sources)
    total = max(1, sum(state.consumed.values()))
    return [
        f"- `{source.name}`: {100 * source.weight / weights:.2f} % asked for, "
        f"{100 * state.consumed.get(source.name, 0) / total:.2f} % of {total:,} samples consumed"
        for source in mix.sources
    ]


def _training_lines(state: CheckpointState, checkpoint: Path, parameters: int) -> list[str]:
    config = TrainingConfig.model_validate(state.config)
    autoencoder = config.autoencoder.kind
    if autoencoder == "haar":
        autoencoder = f"Haar transform, {config.autoencoder.levels} levels, without weights"
    settings = config.bridge.model_dump(mode="json")
    return [
        f"- {state.step:,} steps, {state.images:,} images; the moving average of `{checkpoint.name}`",
        f"- denoiser of {parameters:,} parameters; autoencoder: {autoencoder}",
        f"- bridge: {', '.join(f'{key} {value}' for key, value in settings.items())}",
        f"- seed {config.seed}",
    ]


def _metric_lines(run: Path | None) -> list[str]:
    path = run / "evaluation" / "evaluation.json" if run else None
    if path is None or not path.is_file():
        return ["Not evaluated: `pairbridge evaluate` judges a run on held-out pairs."]
    evaluation = checked_evaluation(read_output(path, "evaluate"), path)
    steps = evaluation["sampling_steps"]
    lines = [
        f"On the {evaluation['split']} side at {evaluation['size']} x {evaluation['size']} pixels, "
        f"{steps} network evaluation{'' if steps == 1 else 's'} an image; 95 % bootstrap intervals over"
        " subjects and, where pairs name them, lightings.\n"
    ]
    for name, source in evaluation["sources"].items():
        shown = [metric for metric in METRICS if metric in source["methods"]["model"]]
        ratios = list(RATIOS) if source["ratios"] else []
        lit = f" under {source['lightings']} lightings" if source["lightings"] else ""
        lines.append(f"`{name}`: {source['pairs']} pairs of {source['objects']} subjects{lit}\n")
        labels = [METRICS[metric].label for metric in shown] + [
            f"{RATIOS[one]}, 1 is right" for one in ratios
        ]
        lines.append("| | " + " | ".join(labels) + " |")
        lines.append("|---|" + "---|" * len(labels))
        methods = source["methods"]
        for method in sorted(methods, key=lambda name: (name != "model", name)):
            figures = methods[method]
            cells = [_cell(figures[metric], METRICS[metric].digits) for metric in shown]
            cells += [ratio_cell(source["ratios"][method].get(one)) for one in ratios]
            lines.append(f"| {method_label(method)} | " + " | ".join(cells) + " |")
        lines.append("")
    return lines[:-1]


def _licence_lines(sources: list[dict[str, Any]], strictest: str | None) -> list[str]:
    counts = Counter()
    for source in sources:
        # Sources of one dataset share its assets.
        counts |= Counter({(licence, author): count for licence, author, count in source["licences"]})
    lines = [
        f"- {licence}, {' '.join(author.split()) or 'author not stated'}: {count} asset(s)"
        for (licence, author), count in sorted(counts.items())
    ]
    if strictest is None:
        lines.append("\nThe terms of the data could not be ranked: read them before you share this model.")
    return lines


def _cell(figure: dict[str, float], digits: int) -> str:
    return f"{figure['mean']:.{digits}f} [{figure['low']:.{digits}f}, {figure['high']:.{digits}f}]"
