"""Fetching a model's files from the Hugging Face hub, for the one command that is allowed to."""

import re
from pathlib import Path

from pairbridge.datagen.models.weights.weight_folders import (
    FileState,
    WeightsError,
    check_model,
    write_record,
)
from pairbridge.datagen.models.weights.weights_manifest import Model

_COMMIT = re.compile(r"[0-9a-f]{40}\Z")


def revision_of(model: Model, asked: str | None, *, accept_non_commercial: bool) -> str:
    """The commit to fetch `model` at: the manifest's pin, else `asked`.

    Raises WeightsError for a licence that was not accepted, and where there is neither pin nor commit.
    """
    if not model.commercial_use and not accept_non_commercial:
        raise WeightsError(
            f"{model.id} is {model.licence}: not for commercial use",
            consequence="nothing was fetched; data made with it would inherit the question",
            remedy="choose another model, or add --accept-non-commercial if that suits you",
        )
    if asked and not _COMMIT.match(asked):
        raise WeightsError(
            f"--revision {asked!r} is no commit",
            consequence="a branch or tag may be another file tomorrow; nothing was fetched",
            remedy="give all 40 hex digits, as shown in the repository's history on the hub",
        )
    if asked and model.revision and asked != model.revision:
        raise WeightsError(
            f"{model.id} is pinned to {model.revision}, and --revision asks for {asked}",
            consequence="the manifest's checksums would not fit; nothing was fetched",
            remedy="leave --revision out",
        )
    if not (model.revision or asked):
        raise WeightsError(
            f"no pinned revision of {model.repository} is known",
            consequence="nothing was fetched: what a moving branch holds cannot be named in a dataset",
            remedy="look at the repository's history on the hub and give its commit with --revision",
        )
    return model.revision or asked


def fetch_model(model: Model, root: Path, revision: str) -> None:
    """Download the manifest's files of `model` to its folder under `root`, check them, record them.

    What is there already is not fetched again. Raises WeightsError.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    folder = root / model.id
    try:
        for file in model.files:
            hf_hub_download(model.repository, file.path, revision=revision, local_dir=folder)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise WeightsError(
            f"{model.repository} at {revision[:12]} cannot be fetched: {str(error).strip().splitlines()[0]}",
            consequence="the model is not complete; what arrived is kept",
            remedy="check the connection (and `hf auth login` for a repository that asks for one), then run "
            "the same command again",
        ) from error
    write_record(model, folder, revision)
    bad = [found for found in check_model(model, root).files if found.finding is not FileState.PROVEN]
    if bad:
        shown = "; ".join(f"{found.file.path}: {found.detail}" for found in bad)
        raise WeightsError(
            f"what arrived of {model.id} is not what the manifest names: {shown}",
            consequence="it must not be used",
            remedy=f"delete {folder} and fetch again; if it happens twice, the manifest or the hub is wrong",
        )
