"""`pairbridge config list | schema | show | copy | reference`: the keys of configuration files."""

import json
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.pipelines.commands.config_kinds import KINDS, folder_of, model_of
from pairbridge.pipelines.commands.options import command_group, made_file

KindName = Annotated[str, typer.Argument(metavar="KIND", help=f"One of {', '.join(KINDS)}.")]


def list_kinds() -> None:
    """List the kinds of configuration files and the shipped ones."""
    # Imported late: pydantic and YAML.
    from pairbridge.pipelines.reading.config_files import shipped_names

    for kind, (folder, *_) in KINDS.items():
        print(f"{kind:<13} {', '.join(shipped_names(folder))}")


def schema(kind: KindName) -> None:
    """Print the JSON schema of a kind of configuration."""
    print(_schema_text(kind), end="")


def show(
    kind: KindName,
    key: Annotated[
        str | None, typer.Argument(metavar="[KEY]", help="Only this key, such as render.samples, and below.")
    ] = None,
) -> None:
    """Print the keys of a kind of configuration: type, default, meaning."""
    # Imported late: pydantic.
    from pairbridge.pipelines.reading.config_keys import as_text, below, sections

    found = sections(_schema(kind))
    print(as_text(below(found, key) if key else found, shutil.get_terminal_size((100, 0)).columns))


def copy(
    kind: KindName,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A shipped configuration, see `config list`.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", parser=made_file, metavar="FILE", help="The file to write [default: NAME.yaml]."
        ),
    ] = None,
) -> None:
    """Copy a shipped configuration, to be changed."""
    # Imported late: pydantic and YAML.
    from pairbridge.pipelines.reading.config_files import find_config

    folder = folder_of(kind)
    out = out or Path(f"{name}.yaml")
    if out.exists():
        raise ConfigError(
            f"{out} is there already",
            consequence="it would be lost",
            remedy="name another file with --out, or remove it",
        )
    lines = find_config(folder, name).read_text().splitlines(keepends=True)
    # An editor's hint, by a path from where the shipped file lies.
    out.write_text("".join(line for line in lines if not line.startswith("# yaml-language-server:")))
    print(out)


def reference(
    docs: Annotated[Path, typer.Argument(metavar="DOCS", help="The folder of the documentation.")],
) -> None:
    """Write DOCS/schemas/KIND.json and DOCS/reference/configuration.md."""
    for name, text in reference_files().items():
        (docs / name).parent.mkdir(parents=True, exist_ok=True)
        (docs / name).write_text(text)


def reference_files() -> dict[str, str]:
    """What the documentation says of configurations, by path below it."""
    # Imported late: pydantic.
    from pairbridge.pipelines.reading.config_keys import as_markdown, sections

    page = [
        "# Configuration reference\n",
        "Every key of every kind of configuration file. In a path, `<name>` is a name of your own and\n"
        "`<n>` the number of an entry; `--set` takes the same paths. `pairbridge config show KIND [KEY]`\n"
        "prints this on a terminal. `make reference` writes it, and `docs/schemas`, from the models.\n",
    ]
    for kind, (folder, *_) in KINDS.items():
        described = _schema(kind)
        about = described.get("description", "")
        page.append(f"## {kind}\n\n{about}\n\nShipped ones: `pipelines/configs/{folder}`.\n")
        page.append(as_markdown(sections(described)))
    files = {f"schemas/{kind}.json": _schema_text(kind) for kind in KINDS}
    return {**files, "reference/configuration.md": "\n".join(page)}


def _schema(kind: str) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model_of(kind).model_json_schema()}


def _schema_text(kind: str) -> str:
    return json.dumps(_schema(kind), indent=1, ensure_ascii=False) + "\n"


group = command_group(
    "Keys of configuration files: descriptions and JSON schemas.",
    list=list_kinds,
    schema=schema,
    show=show,
    copy=copy,
    reference=reference,
)
