"""`pairbridge guide`: an edit of images by gradients of losses, without training."""

from pathlib import Path
from typing import Annotated

import typer

from pairbridge.pipelines.commands.options import EXIT_PARTIAL, Set


def register(app: typer.Typer) -> None:
    app.command()(guide)


def guide(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A published model, a checkpoint's or a run's folder, or one of Stable Diffusion's kind.",
        ),
    ],
    image: Annotated[
        Path, typer.Argument(metavar="IMAGE", help="The image to edit, of any size, or a folder of images.")
    ],
    config: Annotated[
        str, typer.Option("--config", help="What is wanted: a guidance YAML file, or a shipped one's name.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The PNG to write; of a folder of images, the folder.")],
    mask: Annotated[
        Path | None,
        typer.Option("--mask", help="Its mask, white on the foreground; for a folder, masks named alike."),
    ] = None,
    light_map: Annotated[
        Path | None, typer.Option("--light-map", help="The lights, for a model that takes them.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all noise.")] = 0,
    settings: Set = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Edit images with a trained model by asymmetric gradient guidance, towards losses named in YAML.

    Beside each image goes a .json of the same name: settings, seed, evaluations, losses before and after.
    Ends with status 2 if images of a folder could not be edited.
    """
    from pairbridge.pipelines.inference.guiding import GuideOptions, run_guide
    from pairbridge.pipelines.reading.config_files import find_config, load_config
    from pairbridge.training.guidance.guide_config import GuideConfig

    options = GuideOptions(
        model=model,
        image=image,
        config=load_config(find_config("guidance", config), GuideConfig, settings or ()),
        out=out,
        mask=mask,
        light_map=light_map,
        seed=seed,
        device=device,
    )
    if run_guide(options, say=print):
        raise typer.Exit(EXIT_PARTIAL)
