"""The order of copies and steps, with recorded streams in place of a GPU's."""

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from pairbridge.training.engine.device_feed import device_batches

META = torch.device("meta")


class Loader:
    def __init__(self, events: list) -> None:
        self.events = events

    def batches(self, start: int, *, pinned: bool = False) -> Iterator[dict]:
        for number in range(start, start + 2):
            self.events.append(("asked for", number, pinned))
            image = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
            yield {"number": number, "keys": ["a"], "mask": image, "latents": {"source": image.clone()}}


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list:
    found: list = []

    @contextlib.contextmanager
    def stream(own: str) -> Iterator[None]:
        found.append(("copies on", own))
        yield

    steps = SimpleNamespace(wait_stream=lambda other: found.append(("steps wait for", other)))
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: "copies")
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: steps)
    monkeypatch.setattr(
        torch.Tensor, "record_stream", lambda tensor, own: found.append(("held", own is steps))
    )
    return found


def test_a_batch_is_asked_for_at_its_step_and_copied_on_a_stream_of_its_own(events: list) -> None:
    for number, batch in enumerate(device_batches(Loader(events), 3, META), 3):
        assert (batch["number"], batch["keys"]) == (number, ["a"])
        assert {batch["mask"].device, batch["latents"]["source"].device} == {META}
        assert batch["mask"].dtype == torch.uint8
        copied = [("copies on", "copies"), ("steps wait for", "copies"), ("held", True), ("held", True)]
        assert events == [("asked for", number, True), *copied]
        events.clear()


def test_on_the_cpu_batches_pass_as_they_are(events: list) -> None:
    batches = list(device_batches(Loader(events), 0, torch.device("cpu")))
    assert [batch["mask"].device.type for batch in batches] == ["cpu", "cpu"]
    assert events == [("asked for", 0, False), ("asked for", 1, False)]
