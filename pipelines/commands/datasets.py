"""`pairbridge try | plan | generate | verify | inspect`: datasets before, while and after they are made."""

import json
from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from pairbridge.datagen.core.extras import require
from pairbridge.pipelines.commands import options
from pairbridge.pipelines.commands.config_kinds import load

DatasetConfigName = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG", help="A dataset's YAML file, or the name of a shipped one such as `demo`."
    ),
]


def plan(
    config: DatasetConfigName,
    group: Annotated[
        str | None,
        typer.Option(
            "--group", metavar="RECIPE/SPLIT/N", help="Group whose parameters are shown [default: the first]."
        ),
    ] = None,
    cost: Annotated[
        bool,
        typer.Option(
            "--cost",
            help="Make a few groups on this machine, discard them, and estimate time, gigabytes and cost.",
        ),
    ] = False,
    seconds: Annotated[
        float, typer.Option("--seconds", min=10, help="Seconds that --cost may measure.")
    ] = 60.0,
    workers: options.Workers = None,
    address: options.Address = None,
    nodes: Annotated[
        int | None, typer.Option("--nodes", min=1, help="Estimate for a cluster of so many machines as well.")
    ] = None,
    cpus: Annotated[int, typer.Option("--cpus", min=1, help="Cores of each machine of that cluster.")] = 64,
    gpus: Annotated[int, typer.Option("--gpus", min=0, help="GPUs of each machine of that cluster.")] = 0,
    price_per_node_hour: Annotated[
        float, typer.Option("--price-per-node-hour", min=0, help="Price of one machine for an hour.")
    ] = 0.0,
    price_per_core_hour: Annotated[
        float, typer.Option("--price-per-core-hour", min=0, help="Price of one core for an hour.")
    ] = 0.0,
    price_per_gpu_hour: Annotated[
        float, typer.Option("--price-per-gpu-hour", min=0, help="Price of one GPU for an hour.")
    ] = 0.0,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print the plan, or the estimate of --cost, as JSON and nothing else."),
    ] = False,
    settings: options.Set = None,
) -> None:
    """Show what a dataset config would make, and what it costs.

    Assets, layout, disk space, and the parameters of one group (a scene and its lightings). With --cost
    also time, gigabytes, shards and cost, here and on a cluster.
    """
    loaded = load("dataset", config, settings)
    if not cost:
        if nodes or workers or address or price_per_node_hour or price_per_core_hour or price_per_gpu_hour:
            raise typer.BadParameter("workers, machines and prices belong to an estimate: add --cost")
        # Imported late: rich.
        from pairbridge.pipelines.commands.plan_view import show_plan
        from pairbridge.pipelines.generation.open_plan import plan_before_baking
        from pairbridge.pipelines.generation.plan_summary import as_plain, named_group

        planned = plan_before_baking(loaded)
        shown = named_group(planned, group)
        if as_json:
            print(json.dumps(as_plain(planned, shown), indent=1))
        else:
            show_plan(planned, shown)
        return
    require("generate", by="plan --cost", otherwise="leave --cost out")
    # Imported late: ray.
    from pairbridge.pipelines.commands.cost_view import show_cost
    from pairbridge.pipelines.costing.cost_estimate import Cluster, Prices, estimate_cost
    from pairbridge.pipelines.costing.cost_measuring import measure

    cluster = Cluster(nodes=nodes, cpus=cpus, gpus=gpus) if nodes else None
    prices = Prices(node_hour=price_per_node_hour, core_hour=price_per_core_hour, gpu_hour=price_per_gpu_hour)
    found = measure(loaded, workers=workers or options.usable_cores(), address=address, seconds=seconds)
    estimate = estimate_cost(found, cluster, prices)
    if as_json:
        print(json.dumps(estimate, indent=1))
    else:
        show_cost(estimate)


def try_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="An object, an environment map (HDRI) or a photograph.")
    ],
    hdri: Annotated[
        Path | None, typer.Option("--hdri", metavar="FILE", help="An environment map to light it with.")
    ] = None,
    photo: Annotated[
        Path | None,
        typer.Option("--photo", metavar="FILE", help="A photograph to relight and to cut holes in."),
    ] = None,
    out: Annotated[
        Path | None,
        options.folder_option("--out", help="The page's folder [default: try-NAME, or the next free]."),
    ] = None,
    launch: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    settings: options.Set = None,
) -> None:
    """Make pairs of one file of yours, and show them on a page.

    Relighting, removal and shadow of an object, relighting and holes of a photograph, within a minute on two
    cores. Needs no Ray, and leaves nothing but the page. The settings are those of the shipped dataset `try`.
    """
    loaded = load("dataset", "try", settings)
    # Imported late: Blender's client.
    from pairbridge.datagen.assets.catalogue import AssetsConfig
    from pairbridge.datagen.sourcing.sources import kind_of_file
    from pairbridge.pipelines.generation.trial import try_files

    given = {
        kind_of_file(file): file,
        **({"hdri": hdri} if hdri else {}),
        **({"photo": photo} if photo else {}),
    }
    files = AssetsConfig(**{f"{kind}s": (path.absolute(),) for kind, path in given.items()})
    trial = try_files(loaded, files, out or _next_free(f"try-{file.stem}"), threads=options.usable_cores())
    for recipe, made in trial.counts.items():
        print(f"{recipe}: {made} {'pair' if made == 1 else 'pairs'}")
    for key, reason in trial.refused.items():
        print(f"not made: {key}: {reason}")
    print(f"page: {trial.page}")
    print(
        "a dataset of your files: pairbridge config copy my_assets, then pairbridge generate my_assets.yaml"
    )
    if launch:
        typer.launch(trial.page.absolute().as_uri())


def _next_free(name: str) -> Path:
    """In the working folder."""
    names = (Path(name if number == 1 else f"{name}-{number}") for number in count(1))
    return next(path for path in names if not path.exists())


def generate(
    config: DatasetConfigName,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            parser=options.made_place,
            metavar="PLACE",
            help="The dataset's folder or s3:// URL; an unfinished one is resumed.",
        ),
    ],
    workers: options.Workers = None,
    address: options.Address = None,
    preview: Annotated[
        int | None,
        typer.Option(
            min=1, help="Make only a contact sheet of the first N pairs of every recipe, no dataset."
        ),
    ] = None,
    extend_assets: Annotated[
        bool,
        typer.Option(
            "--extend-assets",
            help="Use files that were added to the asset folders since, in groups not planned before.",
        ),
    ] = False,
    work: Annotated[
        Path | None,
        options.folder_option(
            "--work", help="For an URL: the folder of lock, staging and logs [default: one in the cache]."
        ),
    ] = None,
    accept_quarantine: options.AcceptQuarantine = False,
    retry_quarantined: Annotated[
        str | None,
        typer.Option(
            "--retry-quarantined",
            metavar="[REASON]",
            help="Make quarantined pairs again: all, or those whose fault, gate or asset is REASON or whose "
            "reason contains it.",
        ),
    ] = None,
    settings: options.Set = None,
    dry_run: options.DryRun = False,
) -> None:
    """Make a dataset with Ray workers; resumable.

    Interrupt it at any time: the same command resumes, and with larger numbers of groups in the config the
    dataset grows. Ends with status 2 if some pairs are in quarantine (failed samples, see quarantine.jsonl),
    130 if interrupted.
    """
    loaded = load("dataset", config, settings)
    if dry_run:
        # Imported late: rich.
        from pairbridge.pipelines.commands.plan_view import show_dry_run

        show_dry_run(loaded, out)
        return
    require("generate", by="pairbridge generate", otherwise="look at the plan with --dry-run")
    if preview is not None:
        out = options.made_folder(out)
        # Imported late: ray.
        from pairbridge.pipelines.generation.preview import preview as make_preview

        sheet = make_preview(loaded, out, preview, workers=workers or options.usable_cores())
        print(f"{sheet}: look at it; nothing was committed")
        return
    # Imported late: ray.
    from pairbridge.pipelines.generation.generate import generate as run_generate
    from pairbridge.pipelines.generation.stopping import Interrupted

    try:
        result = run_generate(
            loaded,
            out,
            workers=workers or options.usable_cores(),
            address=address,
            extend_assets=extend_assets,
            work_dir=work,
            retry_quarantined=retry_quarantined,
        )
    except Interrupted as error:
        options.stop_interrupted(error)
    print(f"{result.num_pairs} pairs in {result.num_shards} shards under {out}/shards")
    if retry_quarantined is not None and not result.num_retried:
        of_it = f" for {retry_quarantined!r}" if retry_quarantined else ""
        print(f"--retry-quarantined: no pair was in quarantine{of_it}, and none was made again")
    if result.unused_assets:
        print(
            f"not used, since they joined the asset folders later: {', '.join(result.unused_assets[:8])}"
            f"{' and more' if len(result.unused_assets) > 8 else ''}; "
            "more groups with --extend-assets make something of them"
        )
    if result.num_quarantined:
        print(
            f"{result.num_quarantined} pairs are in quarantine; {out}/quarantine.jsonl says why, and "
            "--retry-quarantined makes them again"
        )
        if not accept_quarantine:
            raise typer.Exit(options.EXIT_PARTIAL)


def verify(
    dataset: options.DatasetFolder,
    decode: Annotated[bool, typer.Option("--decode", help="Also decode every image and array.")] = False,
    known_licences: options.RequireKnownLicences = False,
) -> None:
    """Prove from disk that every planned pair is there, undamaged.

    A pair may also be in quarantine with a reason. Of an import: that its files are there, unchanged, and
    with --decode readable. Ends with status 1 and the list of damage otherwise, 2 if pairs are in quarantine.
    """
    # Imported late: numpy and rich.
    from pairbridge.datagen.dataset.verify import verify_dataset
    from pairbridge.datagen.imports.checking import verify_import
    from pairbridge.datagen.imports.import_manifest import is_import
    from pairbridge.pipelines.commands.tables import show_status, show_variety

    options.existing(dataset)
    # A Path is no URL (`place`), and an import lies in a folder.
    if isinstance(dataset, Path) and is_import(dataset):
        options.end_if_damaged(verify_import(dataset, decode=decode))
        print("whole: every pair of the import is there" + (", and can be read" if decode else ""))
        return
    report = verify_dataset(dataset, decode=decode, require_known_licences=known_licences)
    show_status(report.streams)
    show_variety(report.streams)
    options.end_if_damaged(report.findings)
    holes = sum(stream.holes for stream in report.streams)
    print(
        f"whole: every planned pair is accounted for ({report.num_bytes / 1e6:.1f} MB, {holes} in quarantine)"
    )
    if holes:
        raise typer.Exit(options.EXIT_PARTIAL)


def inspect(
    what: Annotated[
        Path,
        typer.Argument(
            metavar="SHARD_OR_DATASET",
            parser=options.place,
            help="A shard's .tar, or a dataset's or import's folder, or a dataset's s3:// URL.",
        ),
    ],
    key: Annotated[str | None, typer.Option("--key", help="The sample to show [default: the first].")] = None,
    out: Annotated[
        Path, options.folder_option("--out", help="Where its files and the contact sheet are written.")
    ] = Path("inspected"),
    samples: Annotated[
        int, typer.Option(min=1, help="How many samples the contact sheet shows, from KEY on.")
    ] = 12,
    page: Annotated[
        Path | None,
        options.folder_option(
            "--page", help="Instead, write a page to browse the whole dataset with into this new folder."
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="Pairs on the page, spread over recipes and splits.")
    ] = 200,
    outputs: Annotated[
        Path | None,
        typer.Option(
            "--outputs",
            metavar="FOLDER",
            help="For --page: what a model made of the pairs, files called by key; shown beside the targets.",
        ),
    ] = None,
    seed: options.Seed = 0,
) -> None:
    """Show one sample, or with --page many in a browser.

    Its meta.json is printed; its files, and a contact sheet of it and the following samples, go into a
    folder.
    """
    # Imported late: numpy and OpenCV.
    from pairbridge.datagen.imports.import_manifest import is_import
    from pairbridge.datagen.shards.mirror import local_folder

    what = local_folder(options.existing(what))
    if page is not None:
        # Imported late: jinja2.
        from pairbridge.pipelines.pages.browsed_pairs import browse
        from pairbridge.pipelines.pages.dataset_page import write_dataset_page

        size = write_dataset_page(browse(what), page, limit=limit, seed=seed, outputs=outputs)
        print(f"{page / 'index.html'}: open it in a browser ({size / 1e6:.1f} MB with its images)")
        return
    if outputs is not None:
        raise typer.BadParameter("--outputs are shown on a page: add --page FOLDER")
    # Imported late: OpenCV.
    from pairbridge.pipelines.pages.inspection import inspect_imported, inspect_samples

    shown = inspect_imported if is_import(what) else inspect_samples
    print(shown(what, key, out, samples))
