"""Matting models, relighters and pasting evaluated on rendered composites, whose ground truth is exact.

What goes in is a dataset's `matting:` and `relighter:`; what comes out are their errors beside those of the
embedded placeholders and of doing nothing, before a large dataset is made with them.

One object under the environment maps A and B gives

    photo = view(fg_A + (1 - a) bg_A)     what a camera sees under A: input of the matting model and relighter
    other = view(fg_B + (1 - a) bg_B)     the same under B: what a relighter without fault would give back
    truth = view(fg_B + (1 - a) bg_A)     that foreground pasted back without fault

`truth` is what the recipe `relighting_swap` makes its sources from, so an error against it is the distance
of a relit photograph to a rendered pair. Everything goes through one view transform, in linear light before
it.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from pydantic import Field, NonNegativeInt, field_validator

from pairbridge.datagen.assets.catalogue import AssetsConfig
from pairbridge.datagen.blender.interpreter import bpy_folder
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.core.errors import AssetError, PairbridgeError, Rejected
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.dataset_config import DatasetConfig, ExecutionConfig
from pairbridge.datagen.dataset.plan import make_plan
from pairbridge.datagen.imaging.compositing import alpha_to_mask, over_linear
from pairbridge.datagen.imaging.pasting import paste_relit
from pairbridge.datagen.imaging.quality import check_foreground
from pairbridge.datagen.imaging.view import ViewTransform
from pairbridge.datagen.models.matting import (
    GrabCutConfig,
    MattingConfig,
    MattingModel,
    cut_out,
    open_matting_model,
)
from pairbridge.datagen.models.matting.agreement import mask_agreement
from pairbridge.datagen.models.provenance import Tool, tool_name
from pairbridge.datagen.models.relighting import (
    ColourTransferConfig,
    Relighter,
    RelighterConfig,
    ToRelight,
    open_relighter,
    relit_images,
)
from pairbridge.datagen.recipes.relighting_swap import RelightingSwap, RelightingSwapConfig
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.shards.layout import GroupSpec
from pairbridge.datagen.sourcing.sources import build_catalogue
from pairbridge.pipelines.checks.paste_modes import PASTE_MODES, rim_error
from pairbridge.pipelines.generation.open_plan import show_model_terms
from pairbridge.pipelines.shelves.scratch_folders import scratch_folder
from pairbridge.training.evaluation.metrics import foreground_mse, psnr

ALL_FOREGROUND = "everything is foreground"
DO_NOTHING = "photograph untouched"
FAULTLESS = "faultless relighter (render under B)"


@dataclass(frozen=True, slots=True, eq=False)
class TrueScene:
    """All images are uint8 (H, W, 3) sRGB, the mask is uint8 (H, W); see the module's docstring."""

    name: str
    subject: str  # the object's id: scenes of one subject are not independent
    photo: np.ndarray
    mask: np.ndarray  # the rendered alpha
    other: np.ndarray
    other_background: np.ndarray  # bg_B alone
    truth: np.ndarray


def render_scenes(spec: GroupSpec, recipe: RelightingSwap, workbench: Workbench) -> list[TrueScene]:
    """One scene for each of the group's ordered pairs (A, B); `strength` and `tint` are not applied.

    Raises Rejected if a gate refuses a render or a photograph, AssetError for a broken asset.
    """
    pairs = spec.params["pairs"]
    needed = sorted({index for pair in pairs for index in (pair["a"], pair["b"])})
    layers = recipe.render_layers(spec, needed, workbench)
    workbench.phase("compose")
    scenes = []
    for name, pair in zip(spec.keys, pairs, strict=True):
        a, b = layers[pair["a"]], layers[pair["b"]]
        scene = TrueScene(
            name=name,
            subject=", ".join(entry["id"] for entry in spec.params["objects"]),
            photo=workbench.view.apply(a.picture()),
            mask=alpha_to_mask(a.foreground[..., 3]),
            other=workbench.view.apply(b.picture()),
            other_background=workbench.view.apply(b.background),
            truth=workbench.view.apply(over_linear(b.foreground, a.background)),
        )
        check_foreground(scene.photo, scene.mask, "photograph", recipe.config.gates)
        check_foreground(scene.truth, scene.mask, "truth", recipe.config.gates)
        scenes.append(scene)
    return scenes


class CalibrationError(PairbridgeError):
    """There is nothing to judge the models on."""


class CalibrationConfig(FrozenModel):
    """Which models are judged, and on what."""

    seed: NonNegativeInt = 0
    """Random seed of the scenes and of the relighter's noise."""
    matting: MattingConfig = GrabCutConfig()
    """Matting model to evaluate."""
    relighter: RelighterConfig = ColourTransferConfig()
    """Relighter to evaluate."""
    scenes: RelightingSwapConfig = Field(
        RelightingSwapConfig(groups={"test": 12}, lightings_per_group=2, size_WH=(192, 192), standing=0.0),
    )
    """Rendered test scenes. `groups` is the number of objects per split, and `pairs_per_group` the number of
    ordered pairs of environment maps per object; `strength` and `tint` are ignored."""
    assets: AssetsConfig = AssetsConfig()
    """Objects and environment maps that the scenes are made of."""
    render: RenderSettings = RenderSettings()
    """Render settings of the scenes."""
    view: ViewTransform = ViewTransform()
    """View transform from linear light to the 8-bit sRGB images."""
    execution: ExecutionConfig = ExecutionConfig()
    """Time and memory limits of Blender."""

    @field_validator("scenes")
    @classmethod
    def _captured_light(cls, scenes: RelightingSwapConfig) -> RelightingSwapConfig:
        if any(kind != "hdri" for split in scenes.groups for kind in scenes.weights(split)):
            raise ValueError("a calibration bakes no lightings: `lighting_kinds` must be hdri alone")
        if scenes.standing > 0:
            raise ValueError("a ground is no part of an object: `standing` must be 0 in a calibration")
        return scenes

    def dataset(self) -> DatasetConfig:
        """The dataset whose groups are the scenes."""
        return DatasetConfig(
            name="calibration",
            seed=self.seed,
            assets=self.assets,
            render=self.render,
            view=self.view,
            recipes={"scenes": self.scenes},
            execution=self.execution,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Figures by scene of one method, and what it made: `figures[scene]` maps names to values."""

    method: str
    figures: dict[str, dict[str, float]]
    images: dict[str, np.ndarray]  # a mask, a relit photograph or a composite
    refused: dict[str, str] = field(default_factory=dict)  # scene -> reason


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """`masks`, `relighting`: the configured model first. `pasting`: the mode that recipes use first."""

    scenes: tuple[TrueScene, ...]
    refused: dict[str, str]  # groups of scenes that a gate refused, with its reason
    masks: list[Judged]
    relighting: list[Judged]
    pasting: list[Judged]


def calibrate(
    config: CalibrationConfig,
    *,
    threads: int,
    log_path: Path,
    on_progress: Callable[[str], None],
) -> Calibration:
    """Render the scenes, then run the configured models and the stand-ins on them.

    Models are opened first, so that weights which are missing end this before the first render. Raises
    CalibrationError if every scene is refused; Blender's own output goes to `log_path`.
    """
    show_model_terms([config])
    matting_models = with_stand_in(
        open_matting_model(config.matting), config.matting, GrabCutConfig(), open_matting_model
    )
    relighters = with_stand_in(
        open_relighter(config.relighter), config.relighter, ColourTransferConfig(), open_relighter
    )
    scenes, refused = _render(config, threads, log_path, on_progress)
    masks = []
    for method, matting in matting_models.items():
        on_progress(f"masks: {method}")
        masks.append(judge_matting(method, matting, scenes))
    masks.append(judge_masks(ALL_FOREGROUND, scenes, {s.name: np.full_like(s.mask, 255) for s in scenes}))
    true_masks = {scene.name: scene.mask for scene in scenes}
    relighting = []
    for method, relighter in relighters.items():
        on_progress(f"relighting: {method}")
        relighting.append(judge_relighter(method, relighter, scenes, true_masks, config.seed))
    configured, relighter = masks[0], next(iter(relighters.values()))
    both = f"{relighting[0].method} with masks of {configured.method}"
    on_progress(f"relighting: {both}")
    relighting += [
        judge_relighter(both, relighter, scenes, configured.images, config.seed),
        _judge_pastes(
            FAULTLESS,
            scenes,
            {scene.name: paste_relit(scene.photo, scene.other, scene.mask) for scene in scenes},
        ),
        _judge_pastes(DO_NOTHING, scenes, {scene.name: scene.photo for scene in scenes}),
    ]
    return Calibration(tuple(scenes), refused, masks, relighting, judge_pasting(scenes))


def with_stand_in(
    tool: Tool, config: FrozenModel, stand_in: FrozenModel, opened: Callable[[FrozenModel], Tool]
) -> dict[str, Tool]:
    """The configured tool and, where that is another, the stand-in, by the names under which they appear."""
    tools = {tool_name(tool): tool}
    if config != stand_in:
        other = opened(stand_in)
        name = tool_name(other)
        tools[f"{name}, default settings" if name in tools else name] = other
    return tools


def judge_matting(method: str, matting: MattingModel, scenes: Iterable[TrueScene]) -> Judged:
    """`matting` on every photograph, through the checks that recipes use; a refusal is recorded."""
    made, refused = {}, {}
    scenes = list(scenes)
    for scene in scenes:
        try:
            made[scene.name] = cut_out(matting, scene.photo)
        except Rejected as error:
            refused[scene.name] = error.cause
    return judge_masks(method, scenes, made, refused)


def judge_masks(
    method: str,
    scenes: Iterable[TrueScene],
    made: dict[str, np.ndarray],
    refused: dict[str, str] | None = None,
) -> Judged:
    """Masks that were `made`, by scene, against the rendered alpha."""
    figures = {
        scene.name: asdict(mask_agreement(made[scene.name], scene.mask))
        for scene in scenes
        if scene.name in made
    }
    return Judged(method, figures, made, refused or {})


def judge_relighter(
    method: str, relighter: Relighter, scenes: Iterable[TrueScene], masks: dict[str, np.ndarray], seed: int
) -> Judged:
    """`relighter` on every photograph that has a mask, for the other background, pasted as recipes paste."""
    asked = [scene for scene in scenes if scene.name in masks]
    requests = [
        ToRelight(
            scene.photo,
            masks[scene.name],
            scene.other_background,
            int(rng(seed, "calibration", scene.name).integers(2**31)),
        )
        for scene in asked
    ]
    made, refused = {}, {}
    for scene, relit in zip(asked, relit_images(relighter, requests), strict=True):
        if isinstance(relit, Rejected):
            refused[scene.name] = relit.cause
        else:
            made[scene.name] = paste_relit(scene.photo, relit, masks[scene.name])
    return _judge_pastes(method, asked, made, refused)


def judge_pasting(scenes: Iterable[TrueScene]) -> list[Judged]:
    """Every paste mode with true alphas and the faultless relighter, so that what is left is the paste's."""
    judged = []
    for method, paste in PASTE_MODES.items():
        made = {scene.name: paste(scene.photo, scene.other, scene.mask) for scene in scenes}
        errors = {scene.name: rim_error(made[scene.name], scene.truth, scene.mask) for scene in scenes}
        figures = {name: {"rim_error": error} for name, error in errors.items() if error is not None}
        default = judged[0].figures if judged else figures
        for name, scored in figures.items():
            scored["rim_excess"] = scored["rim_error"] - default[name]["rim_error"]
        judged.append(Judged(method, figures, made))
    return judged


def _judge_pastes(
    method: str,
    scenes: Iterable[TrueScene],
    made: dict[str, np.ndarray],
    refused: dict[str, str] | None = None,
) -> Judged:
    """Photographs with a relit foreground against the truth, weighted by the true alpha."""
    figures = {}
    for scene in scenes:
        if scene.name in made:
            error = foreground_mse(made[scene.name], scene.truth, scene.mask)
            untouched = foreground_mse(scene.photo, scene.truth, scene.mask)
            figures[scene.name] = {
                "foreground_psnr": psnr(error),
                "foreground_mse": error,
                "gain": psnr(error) - psnr(untouched),
            }
    return Judged(method, figures, made, refused or {})


def _render(
    config: CalibrationConfig, threads: int, log_path: Path, on_progress: Callable[[str], None]
) -> tuple[list[TrueScene], dict[str, str]]:
    dataset = config.dataset()
    plan = make_plan(
        dataset, build_catalogue(config.assets, None, bpy_folder=bpy_folder(config.render.python))
    )
    recipe = plan.recipes["scenes"]
    scenes: list[TrueScene] = []
    refused: dict[str, str] = {}
    groups = [(stream, group) for stream in plan.streams for group in range(stream.num_groups)]
    with (
        scratch_folder() as scratch,
        Workbench(
            dataset.workbench,
            plan.catalogue,
            scratch_dir=scratch,
            threads=threads,
            log_path=log_path,
        ) as workbench,
    ):
        for number, (stream, group) in enumerate(groups, start=1):
            spec = plan.group(stream, group)
            on_progress(f"rendering {number} of {len(groups)}: {spec.keys[0]}")
            try:
                scenes += render_scenes(spec, recipe, workbench)
            except (Rejected, AssetError) as error:
                refused[spec.keys[0]] = error.cause
    if not scenes:
        why = next(iter(refused.values()), "none was asked for")
        raise CalibrationError(
            f"no group of scenes can be used, of {len(groups)}: {why}",
            consequence="there is nothing to judge a model on",
            remedy="ask for more in `scenes.groups`, or check `assets` and the `scenes` ranges",
        )
    return scenes, refused
