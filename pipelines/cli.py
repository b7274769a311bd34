"""The `pairbridge` command. Importing it is quick: what a command needs is imported when it runs.

Exit status: 0 done, 1 an error with cause and remedy, 2 done but some pairs are in quarantine (or, as for
every program, a wrong command line), 130 interrupted and resumable.
"""

import sys
from itertools import pairwise
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.core.extras import explained
from pairbridge.pipelines.commands import (
    assets,
    checks,
    configs,
    datasets,
    images,
    imports,
    named_benchmark,
    options,
    products,
    runs,
    training,
    watching,
    weights,
)
from pairbridge.pipelines.generation.stopping import sigterm_interrupts

# The headings of --help and the commands below each, in their order.
PANELS = {
    "Whole job": {
        "try": datasets.try_,
        "demo": runs.demo,
        "run": runs.run,
        "compare": runs.compare,
        "sweep": runs.sweep,
    },
    "Make data": {
        "plan": datasets.plan,
        "generate": datasets.generate,
        "status": watching.status,
        "verify": datasets.verify,
        "inspect": datasets.inspect,
        "export": products.export,
        "merge": products.merge,
    },
    "Bring data": {
        "assets": assets.group,
        "photos": imports.photos,
        "import": imports.import_,
        "calibrate": checks.calibrate,
    },
    "Train": {
        "mix": training.mix,
        "encode": training.encode,
        "train": training.train,
        "distill": training.distill,
        "classifier": training.train_classifier,
        "evaluate": training.evaluate,
        "benchmark": named_benchmark.benchmark,
        "publish": training.publish,
        "export-model": training.export_model,
    },
    "Use models": {
        "translate": images.translate,
        "guide": images.guide,
        "sample": images.sample,
        "app": images.browser_app,
    },
    "Set up": {"doctor": checks.doctor, "weights": weights.group, "config": configs.group},
}


# Options whose value may be left out, which is an empty one then.
OPTIONAL_VALUES = frozenset({"--retry-quarantined"})


class WithOptionalValues(TyperCommand):
    """Typer's parser has no options with a value that may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        full = [
            f"{arg}=" if arg in OPTIONAL_VALUES and after.startswith("-") else arg
            for arg, after in pairwise([*args, "-"])
        ]
        return super().parse_args(ctx, full)


class Panels(TyperGroup):
    """Lists commands under headings. Typer's own panels are drawn by rich, whose import would double the time
    of --help."""

    def invoke(self, ctx: Any) -> Any:
        # Before typer does, which ends with 130 and says nothing.
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            options.stop_started_again()

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for commands in PANELS.values() for name in commands]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = max(map(len, self.commands))
        for title, commands in PANELS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (
                            name.ljust(width),
                            self.commands[name].get_short_help_str(formatter.width - width - 6),
                        )
                        for name in commands
                    ]
                )


app = typer.Typer(
    name="pairbridge",
    cls=Panels,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # as slow as half of --help

        print(f"pairbridge {version('pairbridge')}")
        raise typer.Exit()


@app.callback()
def _pairbridge(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Make paired image data with Blender and photographs, and train latent bridge models on it."""


for commands in PANELS.values():
    for name, command in commands.items():
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name, cls=WithOptionalValues)(command)


def main() -> None:
    """Entry point of the console script."""
    try:
        with sigterm_interrupts():
            app()
    except PairbridgeError as error:
        _end(error)
    except ImportError as error:
        missing = explained(error)
        if missing is None:
            raise
        _end(missing)


def _end(error: PairbridgeError) -> NoReturn:
    print(
        f"error: {error.cause}\n  consequence: {error.consequence}\n  remedy: {error.remedy}",
        file=sys.stderr,
    )
    sys.exit(1)
