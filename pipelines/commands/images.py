"""`pairbridge translate | guide | sample | app`: trained models at work on images."""

from pathlib import Path
from typing import Annotated

import typer

from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.core.extras import require
from pairbridge.pipelines.commands import options
from pairbridge.pipelines.commands.config_kinds import load


def translate(
    model: options.Model,
    out: options.OutImages,
    image: Annotated[
        Path | None,
        typer.Argument(metavar="IMAGE", help="The image to translate, of any size, or a folder of images."),
    ] = None,
    mask: options.Mask = None,
    light_map: options.LightMap = None,
    condition: options.Conditions = None,
    turn_light: options.TurnLight = 0.0,
    foreground: Annotated[
        Path | None,
        typer.Option(
            "--foreground", help="In place of IMAGE: its foreground is cut out and pasted on --background."
        ),
    ] = None,
    background: Annotated[
        Path | None,
        typer.Option("--background", help="The new background, cropped to the image's size."),
    ] = None,
    matting: options.Matting = "grabcut",
    steps: options.Steps = 1,
    seed: options.Seed = 0,
    sampler: options.SamplerName = "posterior",
    guidance: options.Guidance = 1.0,
    class_name: options.ClassName = None,
    device: options.Device = "cpu",
    precision: options.Precision = "fp32",
    batch_size: options.BatchSize = 1,
) -> None:
    """Translate images with a trained model.

    It removes what a mask shows, relights a foreground, or whatever else it was trained for. Ends with
    status 2 if images of a folder could not be translated.
    """
    require("train", by="pairbridge translate")
    # Imported late: torch.
    from pairbridge.pipelines.inference.image_files import (
        conditions_of,
        each_image,
        files_of,
        read_image,
    )
    from pairbridge.pipelines.inference.translating import (
        named_conditions,
        named_matting,
        named_sampler,
        usage,
    )
    from pairbridge.pipelines.inference.translation import (
        TranslationRequest,
        alike,
        open_model,
        request_of,
        translate_images,
    )
    from pairbridge.pipelines.pages.sheets import write_png
    from pairbridge.training.data.condition_specs import class_condition

    if (image is None) == (foreground is None):
        raise usage("give either IMAGE, or --foreground with --background")
    if (foreground is None) != (background is None):
        raise usage("--foreground and --background go together")
    asked = {"steps": steps, "seed": seed, "guidance": guidance}
    asked |= {"sampler": named_sampler(sampler), "matting": named_matting(matting)}
    files = named_conditions(condition or ())
    opened = open_model(model, device, precision)
    classes = {}
    if class_name:
        classes = dict([class_condition(opened.model.config.denoiser.conditions, class_name)])

    def read(path: Path) -> TranslationRequest:
        behind = read_image(background) if background else None
        given = {**classes, **conditions_of(path, files, turn_light, labels=opened.label_maps)}
        return request_of(files_of(path, mask, light_map), conditions=given, background=behind, **asked)

    def write(requests: list[TranslationRequest], targets: list[Path]) -> None:
        for target, output in zip(targets, translate_images(opened, requests), strict=True):
            write_png(target, output)
            print(target)

    failed = each_image(image or foreground, out, read, write, alike=alike, batch_size=batch_size)
    print(f"{opened.model.evaluations} network evaluations in all")
    _end_if_failed(failed, "translated")


def guide(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A published model, a checkpoint's or a run's folder, or a Stable Diffusion pipeline's.",
        ),
    ],
    image: Annotated[
        Path, typer.Argument(metavar="IMAGE", help="The image to edit, of any size, or a folder of images.")
    ],
    config: Annotated[
        str, typer.Option("--config", help="A guidance YAML file with the losses, or a shipped one's name.")
    ],
    out: options.OutImages,
    mask: options.Mask = None,
    light_map: options.LightMap = None,
    seed: options.Seed = 0,
    settings: options.Set = None,
    device: options.Device = "cpu",
    precision: options.Precision = "fp32",
    batch_size: options.BatchSize = 1,
) -> None:
    """Edit images by gradients of losses, without training.

    Asymmetric gradient guidance of a trained model, towards losses named in YAML. Beside each image goes a
    .json of the same name: settings, seed, NFE, losses before and after. Ends with status 2 if images of a
    folder could not be edited.
    """
    require("train", by="pairbridge guide")
    # Imported late: torch.
    from pairbridge.pipelines.inference.guiding import GuideTask, open_guide, read_task
    from pairbridge.pipelines.inference.image_files import each_image, files_of
    from pairbridge.pipelines.inference.translation import alike

    edit = open_guide(model, load("guidance", config, settings), seed, device, precision)

    def write(tasks: list[GuideTask], targets: list[Path]) -> None:
        for target, said in zip(targets, edit(tasks, targets), strict=True):
            print(f"{target}: {said}")

    failed = each_image(
        image,
        out,
        lambda path: read_task(files_of(path, mask, light_map), seed),
        write,
        alike=lambda task: alike(task.request),
        batch_size=batch_size,
    )
    _end_if_failed(failed, "edited")


def sample(
    model: options.Model,
    out: Annotated[
        Path, options.folder_option("--out", help="The folder to make: 0000.png, 0001.png, ..., sheet.png.")
    ],
    size: Annotated[int, typer.Option(min=8, help="Side in pixels; best as in training.")],
    count: Annotated[int, typer.Option(min=1, help="Images to make.")] = 16,
    steps: options.Steps = 20,
    seed: options.Seed = 0,
    sampler: options.SamplerName = "heun",
    guidance: options.Guidance = 1.0,
    class_name: options.ClassName = None,
    classifier: Annotated[
        Path | None,
        typer.Option(
            "--classifier",
            metavar="RUN",
            help="A run of `pairbridge classifier`, whose gradient leads to --class in place of the"
            " model's own condition; --guidance is its strength.",
        ),
    ] = None,
    device: options.Device = "cpu",
    precision: options.Precision = "fp32",
    batch_size: Annotated[
        int, typer.Option(min=1, help="Images that pass through the network together.")
    ] = 16,
) -> None:
    """Generate images from noise, by a flow (bridge.start: noise)."""
    require("train", by="pairbridge sample")
    # Imported late: torch.
    from pairbridge.pipelines.inference.sampling import run_sample
    from pairbridge.pipelines.inference.translating import named_sampler

    how = {"steps": steps, "sampler": named_sampler(sampler), "guidance": guidance}
    towards = (class_name, classifier)
    print(run_sample(model, out, count, size, seed, *towards, device, precision, batch_size, **how))


def browser_app(
    model: options.Model,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, help="Port; 0 takes a free one.")] = 7860,
    matting: options.Matting = "grabcut",
    device: options.Device = "cpu",
    precision: options.Precision = "fp32",
) -> None:
    """Translate in the browser, on this machine alone.

    Paint the mask or have it cut out, drag lamps, choose an environment map. Needs the extra `app`.
    """
    require("train", "app", by="pairbridge app")
    # Imported late: torch and gradio.
    from pairbridge.pipelines.app.app_server import serve
    from pairbridge.pipelines.inference.translating import named_matting

    how = {"device": device, "precision": precision, "matting": named_matting(matting)}
    serve(model, host=host, port=port, **how)


def _end_if_failed(failed: list[tuple[Path, PairbridgeError]], done: str) -> None:
    """List the images of a folder that were not `done`, and end with status 2 where there are any."""
    for path, error in failed:
        print(f"not {done}: {path.name}: {error.cause}; {error.remedy}")
    if failed:
        raise typer.Exit(options.EXIT_PARTIAL)
