"""`pairbridge benchmark`: published benchmarks by name, on a user's download."""

from pathlib import Path
from typing import Annotated

import typer

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.extras import require
from pairbridge.pipelines.commands import options


def benchmark(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The benchmark [default: list them].")
    ] = None,
    root: Annotated[
        Path | None, typer.Argument(metavar="PATH", help="The folder of its data, as it was downloaded.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option("--model", help="A published model, a checkpoint's folder, or a run's."),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--outputs",
            metavar="NAME=FOLDER",
            help="Outputs of another method as a row of the table, in files named as the sources (depth and"
            " normals in .npy). May be repeated.",
        ),
    ] = None,
    out: Annotated[
        Path, options.folder_option("--out", help="Where benchmark.json and benchmark.csv go.")
    ] = Path("benchmark"),
    lists: Annotated[
        Path | None,
        typer.Option("--list", help="A file that names the sources to judge on, one a line below PATH."),
    ] = None,
    longest_side: Annotated[
        int | None,
        typer.Option(
            "--longest-side",
            min=8,
            help="The model sees images of at most this many pixels; outputs are brought back.",
        ),
    ] = None,
    steps: options.Steps = 1,
    seed: options.Seed = 0,
    device: options.Device = "cpu",
    lpips: Annotated[
        tuple[Path, Path] | None,
        typer.Option("--lpips", metavar="VGG HEADS", help="Weights of LPIPS, for its column (removal)."),
    ] = None,
    inception: Annotated[
        Path | None, typer.Option("--inception", help="Weights that FID is defined on, for its columns.")
    ] = None,
    dinov2: Annotated[
        Path | None,
        typer.Option("--dinov2", help="Folder of DINOv2, for the context deviation of removals."),
    ] = None,
) -> None:
    """Judge a model, and others' outputs, on a published benchmark.

    Layouts, splits, sizes and columns are those of the papers; the data is yours. Without a name it lists
    what there is.
    """
    require("train", by="pairbridge benchmark")
    # Imported late: its room reaches torch.
    from pairbridge.pipelines.judging.named_benchmarks import BENCHMARKS

    if name is None or root is None:
        for known, one in BENCHMARKS.items():
            print(f"{known:18}{one.kind:15}{one.title}")
        return
    if name not in BENCHMARKS:
        raise ConfigError(
            f"there is no benchmark {name}",
            consequence="nothing was judged",
            remedy=f"choose one of {', '.join(BENCHMARKS)}; or `pairbridge import` the data, and evaluate",
        )
    # Imported late: torch.
    from pairbridge.pipelines.inference.translation import open_model
    from pairbridge.pipelines.judging.benchmark_run import Judging, run_benchmark, shown
    from pairbridge.training.perceptual.lpips import LpipsConfig

    judging = Judging(
        outputs=dict(_named_folder(text) for text in outputs or ()),
        lists=lists,
        longest_side=longest_side,
        steps=steps,
        seed=seed,
        lpips=LpipsConfig(vgg=lpips[0], heads=lpips[1]) if lpips else None,
        inception=inception,
        dinov2=dinov2,
    )
    opened = open_model(model, device) if model else None
    result = run_benchmark(name, root, opened, judging, out)
    print(f"{result['cases']} cases" + (f", {result['left_out']} left out" if result["left_out"] else ""))
    if result["expected"] not in (None, result["cases"]):
        print(f"the published benchmark has {result['expected']}: these figures are not comparable with it")
    print(result["protocol"])
    for line in shown(result):
        print(line)
    print(out / "benchmark.json")


def _named_folder(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise typer.BadParameter(f"{text!r} is not NAME=FOLDER")
    return name, Path(folder)
