"""How far a dataset is: what its sidecars prove, and what the diary beside them says of the run."""

from pathlib import Path
from typing import Any

from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.dataset.verify import StreamStatus, dataset_status
from pairbridge.datagen.shards.mirror import local_folder
from pairbridge.datagen.shards.object_store import is_url
from pairbridge.pipelines.shelves.ledger import LEDGER_NAME, LedgerReader, RunTally
from pairbridge.pipelines.shelves.shelf import work_folder

STATUS_FORMAT = "pairbridge-status/1"


class Watched:
    """One dataset, looked at as often as one likes: each look reads what is new in the diary, no more."""

    def __init__(self, dataset: str | Path) -> None:
        """`dataset`: a folder, or an URL; the diary of a run that works for one is known where it runs."""
        self._dataset = dataset
        folder = work_folder(str(dataset)) if is_url(dataset) else Path(dataset)
        self._reader = LedgerReader(folder) if (folder / LEDGER_NAME).is_file() else None
        self._tally = RunTally()

    def look(self) -> tuple[tuple[StreamStatus, ...], dict[str, Any]]:
        """Counts of every recipe and split, and all that is known as JSON (docs/watching.md has the keys).

        Raises ShardError if dataset.json or a sidecar is unusable, StoreFailed if a store does not answer.
        """
        folder = local_folder(self._dataset)
        streams = dataset_status(folder)
        name = DatasetManifest.from_folder(folder).name
        planned = sum(stream.pairs_planned for stream in streams)
        made = sum(stream.pairs_made for stream in streams)
        quarantined = sum(stream.holes for stream in streams)
        return streams, {
            "format": STATUS_FORMAT,
            "dataset": name,
            "complete": all(stream.complete for stream in streams),
            "pairs": {"planned": planned, "made": made, "quarantined": quarantined},
            "shards": {
                "planned": sum(stream.shards_planned for stream in streams),
                "committed": sum(stream.shards_committed for stream in streams),
            },
            "streams": [
                {
                    "recipe": stream.recipe,
                    "split": stream.split,
                    "pairs": {
                        "planned": stream.pairs_planned,
                        "made": stream.pairs_made,
                        "quarantined": stream.holes,
                    },
                    "shards": {"planned": stream.shards_planned, "committed": stream.shards_committed},
                }
                for stream in streams
            ],
            "run": None if self._reader is None else self._run(planned - made - quarantined),
        }

    def _run(self, uncommitted: int) -> dict[str, Any]:
        tally = self._tally
        for event in self._reader.new_events():
            tally.add(event)
        waiting = min(uncommitted, tally.waiting.total())
        rate = tally.pairs_per_s
        return {
            "finished": tally.finished,
            "began_unix_s": tally.began_unix_s,
            "last_event_unix_s": tally.last_unix_s,
            "workers": tally.workers,
            "runs": tally.runs,
            "pairs_staged": waiting,
            "pairs_per_s": rate,
            "left_s": (uncommitted - waiting) / rate if rate else None,
            "faults": dict(tally.faults),
            "last_faults": list(tally.last_faults),
            "worker_s": tally.utilisation(),
            "slowest_assets": tally.slowest_assets(),
            "most_refused_assets": tally.most_refused_assets(),
        }
