"""`pairbridge assets check`: the user's files opened and looked at before a dataset is made of them."""

from pathlib import Path
from typing import Annotated

import typer

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.pipelines.commands.config_kinds import load
from pairbridge.pipelines.commands.options import (
    EXIT_PARTIAL,
    Set,
    command_group,
    folder_option,
    usable_cores,
)


def check(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER",
            help="A folder of assets; or a dataset's YAML file, for its folders, rules and add-ons.",
        ),
    ],
    out: Annotated[
        Path, folder_option("--out", help="The folder for contact sheet, page, list and thumbnails.")
    ] = Path("assets-check"),
    size: Annotated[int, typer.Option(min=32, max=1024, help="Pixels of a thumbnail's side.")] = 160,
    time_limit: Annotated[
        float | None,
        typer.Option(min=1, help="Seconds for each step of an object [default: the config's, 120]."),
    ] = None,
    exclude_list: Annotated[
        Path | None,
        typer.Option(
            "--exclude-list",
            metavar="FILE",
            help="Add `exclude: <why>` for each refused asset to FILE, in the form of a catalogue.yaml; to a "
            "catalogue.yaml itself for those below its folder.",
        ),
    ] = None,
    settings: Set = None,
) -> None:
    """Render a thumbnail of each asset; list what a dataset would refuse, and what becomes of every file.

    Thumbnails go into one contact sheet, reasons beside them. Ends with status 2 if anything was refused.
    """
    # Imported late, for rich alone takes a tenth of a second.
    from rich.console import Console

    # Imported late: OpenCV and Blender's client.
    from pairbridge.datagen.blender.interpreter import bpy_folder
    from pairbridge.datagen.sourcing.photo_audit import write_exclusions
    from pairbridge.datagen.sourcing.sources import PIN_FILE, build_catalogue
    from pairbridge.pipelines.checks.asset_check import check_assets, folder_assets
    from pairbridge.pipelines.checks.asset_report import listing, write_asset_report
    from pairbridge.pipelines.checks.file_accounts import file_accounts

    root, config = _config(what, settings or [], time_limit)
    catalogue = build_catalogue(config.assets, None, bpy_folder=bpy_folder(config.render.python))
    assets = folder_assets(config.assets, catalogue)
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
    folders = [folder for places in config.assets.folders.values() for folder in places]
    roots = [root] if Path(what).is_dir() else dict.fromkeys(folders)
    accounts = file_accounts(roots, config.assets, found, catalogue.left_out)
    write_asset_report(found, accounts, root, out)
    print(listing(found, accounts, root))
    print(f"pictures: {out / 'assets.png'}, {out / 'index.html'}")
    if exclude_list is not None:
        below = exclude_list.parent.absolute() if exclude_list.name == PIN_FILE else root
        refused = [one for one in found if not one.usable and one.asset.path.is_relative_to(below)]
        write_exclusions(exclude_list, {one.asset.id: one.reason for one in refused})
        print(f"written: {exclude_list}, with {len(refused)} refused assets")
    if any(account.fate == "refused" for account in accounts):
        raise typer.Exit(EXIT_PARTIAL)


def _config(what: str, settings: list[str], time_limit: float | None):
    """The folder that paths are shown relative to, and the dataset config whose rules hold."""
    # Imported late: pydantic, YAML and Blender's client.
    from pairbridge.pipelines.checks.asset_check import folder_config
    from pairbridge.pipelines.reading.config_files import find_config, shipped_names

    if Path(what).is_dir():
        root = Path(what).absolute()
        # Recipes play no part here; everything else is the shipped starting point's.
        config = load("dataset", "my_assets", settings)
        folders = folder_config(root)
        kept = {f"{kind}s": places for kind, places in folders.folders.items()} | {"embedded": False}
        config = config.model_copy(update={"assets": config.assets.model_copy(update=kept)})
    elif Path(what).suffix not in (".yaml", ".yml") and what not in shipped_names("datasets"):
        raise ConfigError(
            f"{what} is neither a folder nor a dataset's YAML file",
            consequence="there is nothing to check",
            remedy="name a folder of objects, environment maps, photographs or materials",
        )
    else:
        root, config = find_config("datasets", what).absolute().parent, load("dataset", what, settings)
    if time_limit is not None:
        limited = config.execution.model_copy(update={"request_timeout_s": time_limit})
        config = config.model_copy(update={"execution": limited})
    return root, config


group = command_group("Check objects, environment maps, photographs and materials.", check=check)
