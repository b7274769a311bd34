"""The published description of configurations: schemas, the reference page, and where shipped files point."""

import json
from pathlib import Path

import jsonschema
import pytest

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.yaml_text import read_document
from pairbridge.pipelines.commands.config_kinds import KINDS, model_of
from pairbridge.pipelines.commands.configs import reference_files
from pairbridge.pipelines.reading.config_files import SHIPPED
from pairbridge.pipelines.reading.config_keys import as_text, below, sections

DOCS = Path(__file__).resolve().parents[3] / "docs"
SHIPPED_FILES = [(kind, path) for kind in KINDS for path in sorted((SHIPPED / KINDS[kind][0]).glob("*.yaml"))]


def test_schemas_and_reference_page_are_current() -> None:
    old = [name for name, text in reference_files().items() if (DOCS / name).read_text() != text]
    assert old == [], "run `make reference`"
    assert {path.stem for path in (DOCS / "schemas").iterdir()} == set(KINDS)


def test_every_shipped_folder_is_of_a_kind() -> None:
    assert {path.name for path in SHIPPED.iterdir()} == {folder for folder, *_ in KINDS.values()}


def test_a_shipped_file_names_its_schema() -> None:
    assert len(SHIPPED_FILES) > 100
    offences = []
    for kind, path in SHIPPED_FILES:
        key, _, place = path.read_text().splitlines()[0].partition("=")
        named = (path.parent / place).resolve()
        if key != "# yaml-language-server: $schema" or named != DOCS / "schemas" / f"{kind}.json":
            offences.append(path.name)
    assert offences == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_shipped_files_of_a_kind_fit_its_schema(kind: str) -> None:
    validator = jsonschema.Draft202012Validator(json.loads((DOCS / "schemas" / f"{kind}.json").read_text()))
    offences = [
        f"{path.name}: {error.message}"
        for of, path in SHIPPED_FILES
        if of == kind
        for error in validator.iter_errors(read_document(path).value)
    ]
    assert offences == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_refuses_a_key_that_is_not_there(kind: str) -> None:
    validator = jsonschema.Draft202012Validator(json.loads((DOCS / "schemas" / f"{kind}.json").read_text()))
    assert any("sede" in error.message for error in validator.iter_errors({"sede": 1}))


def test_keys_carry_type_default_and_description_of_where_they_stand() -> None:
    found = sections(model_of("dataset").model_json_schema())
    text = as_text(below(found, "execution.request_timeout_s"), width=100)
    assert text.startswith("execution.request_timeout_s  (number > 0, default 120.0)\n    ")
    of_recipes = below(found, "recipes.mine.size_WH")
    assert {key.path for one in of_recipes for key in one.keys} == {"recipes.<name>.size_WH"}
    assert "recipes.<name>, kind: geometry" in [one.title for one in of_recipes]
    with pytest.raises(ConfigError, match="no key") as raised:
        below(found, "execution.recycle_rss")
    assert "did you mean 'execution.recycle_rss_mib'?" in raised.value.remedy


def test_show_schema_and_list_print_what_there_is(pairbridge) -> None:
    status, out, _ = pairbridge("config", "show", "mix", "sources.0.weight")
    assert (status, out.splitlines()[0]) == (0, "sources.<n>.weight  (number > 0, default 1.0)")
    status, out, _ = pairbridge("config", "schema", "run")
    assert (status, json.loads(out)["required"]) == (
        0,
        ["name", "dataset", "mix", "training", "evaluation"],
    )
    status, out, _ = pairbridge("config", "list")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == list(KINDS)
    status, _, err = pairbridge("config", "show", "mixture")
    assert status == 1
    assert "one of dataset, mix" in err


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_of_every_configuration_is_described(kind: str) -> None:
    schema = model_of(kind).model_json_schema()
    models = {kind: schema, **schema.get("$defs", {})}
    silent = [
        f"{name}.{key}"
        for name, model in models.items()
        for key, field in model.get("properties", {}).items()
        if not field.get("description")
    ]
    assert silent == []
