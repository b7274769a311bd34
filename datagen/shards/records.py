"""What is written beside the bytes: the record of a group in staging, and the sidecar that commits a shard.

Both describe a tar whose layout is fully determined by the sizes of its members, so a record is accepted
only if its offsets are exactly those: nothing can overlap, run past the end or go missing between two
members.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from pairbridge.datagen.core.bounded_json import JsonRefused
from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.core.json_digest import canonical_json
from pairbridge.datagen.core.limits import MAX_RECORD_BYTES
from pairbridge.datagen.core.record_files import first_problem, parse_record, read_record
from pairbridge.datagen.shards.sample import FIELD_PATTERN, KEY_PATTERN, png_size
from pairbridge.datagen.shards.tar import BLOCK, TRAILER, padding, sample_tar

SIDECAR_FORMAT = "pairbridge-shard/1"

# Readers keep offsets and sizes in 64 bits.
Count = Annotated[int, Field(ge=0, lt=2**63)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Key = Annotated[str, Field(pattern="^" + KEY_PATTERN.pattern.replace(r"\Z", "$"))]
FieldName = Annotated[str, Field(pattern="^" + FIELD_PATTERN.pattern.replace(r"\Z", "$"))]
# It begins the names of shards, keys and folders of exports.
RecipeId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
ShardName = Annotated[str, Field(pattern=r"^(train|validation|test)-[a-z0-9_-]+-[0-9]{6}$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Hole(_Record):
    """A planned sample that is not in the shard, and why. `asset` names the asset at fault, if one is."""

    key: Key
    reason: str
    asset: str | None = None
    gate: str | None = None
    """That refused its last draw; None where an asset is broken or a process died."""
    fault: Literal["crashed", "timed out"] | None = None
    """Of the last attempt at a group that was given up."""

    @model_serializer(mode="wrap")
    def _faults_alone(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Holes without a fault have the bytes that they had before there was this field."""
        fields = dump(self)
        if self.fault is None:
            del fields["fault"]
        return fields


class Rejection(_Record):
    """One draw of a planned sample that `gate` refused. The draws of a key count from 0 without a gap; the
    sample's own, if it is there, is the next.
    """

    key: Key
    draw: Count
    gate: str
    reason: str


class SampleRecord(_Record):
    """Where the files of one sample lie: `{field: (offset of the data, size in bytes)}`."""

    key: Key
    fields: dict[FieldName, Annotated[tuple[Count, Count], Field(strict=False)]]
    size_WH: Annotated[tuple[Count, Count], Field(strict=False)] | None = None
    """Of its picture, which a trainer has to know before it decodes anything; None where it has none."""


class GroupRecord(_Record):
    """One group's tar part in staging; offsets count from the start of the part, which has no trailer."""

    group: Count
    bytes: Count
    sha256: Sha256
    samples: Annotated[tuple[SampleRecord, ...], Field(strict=False)]
    holes: Annotated[tuple[Hole, ...], Field(strict=False)]
    rejections: Annotated[tuple[Rejection, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_layout(self.samples, self.holes, self.bytes)
        _check_draws(self.rejections)
        return self

    def to_json(self) -> bytes:
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Raises ShardError on anything but a whole, self-consistent record."""
        try:
            return parse_record(cls, data, MAX_RECORD_BYTES)
        except ValidationError as error:
            raise _bad_record("a group record in staging", first_problem(error)) from error
        except JsonRefused as error:
            raise _bad_record("a group record in staging", str(error)) from error


class ShardInfo(_Record):
    """What the plan says of a shard: `name` is `<split>-<recipe>-<index>`, its groups are a fixed range."""

    name: ShardName
    first_group: Count
    num_groups: Annotated[int, Field(ge=1)]
    plan_digest: Sha256
    config_digest: Sha256

    @property
    def split(self) -> str:
        return self.name.partition("-")[0]

    @property
    def recipe(self) -> str:
        return self.name.partition("-")[2].rpartition("-")[0]


class Sidecar(_Record):
    """The commit record of a shard, written last: the shard exists exactly when this file does."""

    format: Annotated[str, Field(pattern=f"^{SIDECAR_FORMAT}$")] = SIDECAR_FORMAT
    shard: ShardInfo
    sha256: Sha256
    bytes: Count
    count: Count
    samples: Annotated[tuple[SampleRecord, ...], Field(strict=False)]
    holes: Annotated[tuple[Hole, ...], Field(strict=False)]
    rejections: Annotated[tuple[Rejection, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_layout(self.samples, self.holes, self.bytes - len(TRAILER))
        _check_draws(self.rejections)
        if self.count != len(self.samples):
            raise ValueError(f"count is {self.count}, but {len(self.samples)} samples are listed")
        return self

    @property
    def name(self) -> str:
        return self.shard.name

    def to_json(self) -> bytes:
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Raises ShardError on a missing, oversized, corrupt or self-contradictory sidecar."""
        sidecar = read_record(cls, path, MAX_RECORD_BYTES, _bad_record)
        if sidecar.shard.name != path.stem:
            raise _bad_record(path, f"it describes shard {sidecar.shard.name}")
        return sidecar


class Claim(_Record):
    """What stands in a sidecar's place on an object store while the shard's tar is being replaced.

    It keeps late writes of an earlier sidecar out, and says whose turn it is: `generation` is that of the
    lease under which it was written.
    """

    format: Annotated[str, Field(pattern="^pairbridge-claim/1$")] = "pairbridge-claim/1"
    generation: Count

    def to_json(self) -> bytes:
        return canonical_json(self.model_dump(mode="json"))


def commit_record(content: bytes) -> Sidecar | Claim | None:
    """What is in a sidecar's place on an object store; None: half a record, or none of ours."""
    for model in (Sidecar, Claim):
        try:
            return parse_record(model, content, MAX_RECORD_BYTES)
        except (ValidationError, JsonRefused):
            continue
    return None


def pack_group(
    group: int,
    outcomes: Sequence[tuple[str, Mapping[str, bytes]] | Hole],
    rejections: Sequence[Rejection] = (),
) -> tuple[bytes, GroupRecord]:
    """The tar part of one group and its record, for staging.

    outcomes: in plan order, one per planned pair: `(key, {field: encoded bytes})` or a Hole; rejections: of
    draws before those, in order. Deterministic. A group of holes alone gives zero bytes.
    """
    part, samples, holes = bytearray(), [], []
    for outcome in outcomes:
        if isinstance(outcome, Hole):
            holes.append(outcome)
            continue
        key, fields = outcome
        record = SampleRecord(key=key, fields=_layout(len(part), fields), size_WH=_picture_size(fields))
        samples.append(record)
        part += sample_tar(key, fields)
    record = GroupRecord(
        group=group,
        bytes=len(part),
        sha256=hashlib.sha256(part).hexdigest(),
        samples=tuple(samples),
        holes=tuple(holes),
        rejections=tuple(rejections),
    )
    return bytes(part), record


def _layout(start: int, fields: Mapping[str, bytes]) -> dict[str, tuple[int, int]]:
    members = {}
    for field in sorted(fields):
        size = len(fields[field])
        members[field] = (start + BLOCK, size)
        start += BLOCK + size + padding(size)
    return members


def _picture_size(fields: Mapping[str, bytes]) -> tuple[int, int] | None:
    """(width, height) of the target, of the source where the target is geometry."""
    for field in ("target.png", "source.png"):
        if field in fields:
            return png_size(field, fields[field])
    return None


def _check_layout(samples: Sequence[SampleRecord], holes: Sequence[Hole], num_bytes: int) -> None:
    position = 0
    for sample in samples:
        if not sample.fields:
            raise ValueError(f"{sample.key} has no fields")
        for field in sorted(sample.fields):
            offset, size = sample.fields[field]
            if offset != position + BLOCK:
                raise ValueError(
                    f"{sample.key}.{field} should begin at byte {position + BLOCK}, not {offset}"
                )
            position = offset + size + padding(size)
    if position != num_bytes:
        raise ValueError(f"the members end at byte {position}, the file's data at {num_bytes}")
    keys = [entry.key for entry in (*samples, *holes)]
    if len(set(keys)) != len(keys):
        twice = min(key for key, count in Counter(keys).items() if count > 1)
        raise ValueError(f"key {twice} is listed twice")


def _check_draws(rejections: Sequence[Rejection]) -> None:
    draws: Counter[str] = Counter()
    for rejection in rejections:
        if rejection.draw != draws[rejection.key]:
            raise ValueError(f"draw {draws[rejection.key]} of {rejection.key} is missing from its rejections")
        draws[rejection.key] += 1


def _bad_record(where: Path | str, why: str) -> ShardError:
    return ShardError(
        f"{where} is not a usable record: {why}",
        consequence="which samples the shard holds, and where, is not known",
        remedy="delete the shard and its .json and run `pairbridge generate` again: only it is rebuilt",
    )
