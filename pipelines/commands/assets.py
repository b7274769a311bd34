"""`pairbridge assets check`: the user's files opened and looked at before a dataset is made of them."""

from pathlib import Path
from typing import Annotated

import typer

from pairbridge.pipelines.commands.options import EXIT_PARTIAL, Set, usable_cores


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Objects, lightings and photographs of your own.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    group.callback()(_assets)
    group.command()(check)
    app.add_typer(group, name="assets")


def _assets() -> None:
    """Objects, lightings and photographs of your own."""


def check(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER",
            help="A folder of assets; or a dataset's YAML file, for its folders, rules and add-ons.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="The folder for contact sheet, page, list and thumbnails.")
    ] = Path("assets-check"),
    size: Annotated[int, typer.Option(min=32, max=1024, help="Pixels of a thumbnail's side.")] = 160,
    time_limit: Annotated[
        float | None,
        typer.Option(min=1, help="Seconds for each step of an object [default: the config's, 120]."),
    ] = None,
    settings: Set = None,
) -> None:
    """Render a thumbnail of each asset into one contact sheet, and list what a dataset would refuse and why.

    Ends with status 2 if anything was refused.
    """
    from rich.console import Console

    from pairbridge.pipelines.checks.asset_check import check_assets, folder_assets
    from pairbridge.pipelines.checks.asset_report import listing, write_asset_report

    root, config = _config(what, settings or [], time_limit)
    assets = folder_assets(config.assets)
    out.mkdir(parents=True, exist_ok=True)
    found = []
    with Console(stderr=True).status("opening") as status:
        for checked in check_assets(
            assets,
            config,
            size=size,
            threads=usable_cores(),
            log_path=out / "blender.log",
            on_asset=lambda asset: status.update(f"{len(found) + 1} of {len(assets)}: {asset.path.name}"),
        ):
            found.append(checked)
    write_asset_report(found, root, out)
    print(listing(found, root) or "no assets were found")
    print(f"pictures: {out / 'assets.png'}, {out / 'index.html'}")
    if not all(checked.usable for checked in found):
        raise typer.Exit(EXIT_PARTIAL)


def _config(what: str, settings: list[str], time_limit: float | None):
    """The folder that paths are shown relative to, and the dataset config whose rules hold."""
    from pairbridge.datagen.dataset.dataset_config import DatasetConfig
    from pairbridge.pipelines.checks.asset_check import folder_config
    from pairbridge.pipelines.reading.config_files import find_config, load_config

    if Path(what).is_dir():
        root = Path(what).absolute()
        # Recipes play no part here; everything else is the shipped starting point's.
        config = load_config(find_config("datasets", "my_assets"), DatasetConfig, settings)
        folders = folder_config(root)
        kept = {name: getattr(folders, name) for name in ("embedded", "objects", "hdris", "photos")}
        config = config.model_copy(update={"assets": config.assets.model_copy(update=kept)})
    else:
        path = find_config("datasets", what)
        root, config = path.absolute().parent, load_config(path, DatasetConfig, settings)
    if time_limit is not None:
        limited = config.execution.model_copy(update={"request_timeout_s": time_limit})
        config = config.model_copy(update={"execution": limited})
    return root, config
