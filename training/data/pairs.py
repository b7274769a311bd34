"""Pairs of one recipe and split, by position: decoded, framed to one size, holes of removal pairs filled."""

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pairbridge.datagen.core.errors import ConfigError, PairbridgeError, ShardError
from pairbridge.datagen.core.extras import require
from pairbridge.datagen.core.json_digest import digest
from pairbridge.datagen.core.seeds import rng, seed31
from pairbridge.datagen.dataset.manifest import DatasetManifest, SplitEntry
from pairbridge.datagen.imaging.compositing import pasted_over
from pairbridge.datagen.imaging.fill import fill_noise, fill_seed
from pairbridge.datagen.imaging.mask_variants import draw_variant
from pairbridge.datagen.imports.import_manifest import ImportManifest, is_import
from pairbridge.datagen.imports.imported import ImportedPairs
from pairbridge.datagen.lighting.light_maps import MapLight, encode_light_map
from pairbridge.datagen.shards.fields import FieldKind, FieldSpec, HoleContent, Roles, stem_of
from pairbridge.datagen.shards.picture_sizes import PictureSizes
from pairbridge.datagen.shards.reader import Shard, open_shards
from pairbridge.datagen.shards.sample import decode_field, decode_meta, params_of
from pairbridge.training.data.condition_specs import LIGHT, ConditionConfig, image_conditions
from pairbridge.training.data.framing import Frame
from pairbridge.training.data.role_choice import RoleChoice
from pairbridge.training.data.targets import PICTURES, Form, PairKinds, SeenField, as_picture, form_of, seen


@dataclass(frozen=True, slots=True)
class Pair:
    """source, target: (H, W, 3), of images uint8 sRGB; of other kinds see `pairbridge.training.data.targets`.
    mask: uint8 (H, W), 255 = foreground, or to remove.

    valid: uint8 (H, W), 255 where the target holds (None: everywhere). conditions: (H, W, C) or (H, W), by
    the network's name for them.
    """

    key: str
    source: np.ndarray
    target: np.ndarray
    mask: np.ndarray
    meta: dict[str, Any]
    valid: np.ndarray | None = None
    # Of depth targets: float32 (H, W) in the unit of their data, for metrics.
    depth: np.ndarray | None = None
    conditions: dict[str, np.ndarray] = field(default_factory=dict)
    kinds: PairKinds = PICTURES


class PairStore(Protocol):
    """Where pairs come from, by position. Holds no open file; pickles, and threads read it at once."""

    def __len__(self) -> int: ...

    # How many pairs there would be if all were made and none quarantined.
    planned: int
    # Equal digests are equal pairs in equal order.
    digest: str
    # What `read` can give, by name without suffix.
    fields: Mapping[str, FieldSpec]
    # What plays which part, where nobody says otherwise.
    roles: Roles
    # Of the images of each pair.
    sizes: PictureSizes

    def key(self, index: int) -> str: ...

    def describe(self, index: int) -> str:
        """File and key of a pair, for messages."""

    def read(self, index: int, fields: Sequence[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """(meta, arrays by field): those of `fields`, names without suffix, that there are."""


def open_store(dataset_dir: Path, recipe: str, split: str) -> PairStore:
    """The pairs of one recipe and split, whatever they lead to: how many, which, from what.

    Raises ConfigError if the dataset lacks the recipe or split or is not finished, ShardError if damaged.
    """
    store = open_unfinished(dataset_dir, recipe, split)
    if isinstance(store, ShardedPairs):
        store.check_finished()
    return store


def open_unfinished(dataset_dir: Path, recipe: str, split: str) -> "ImportedPairs | ShardedPairs":
    """As `open_store`; of a dataset that is still being made the pairs that are committed now."""
    store = ImportedPairs if is_import(dataset_dir) else ShardedPairs
    return store(dataset_dir, recipe, split)


class PairSource:
    """Map-style access to every pair of one recipe and split: of a generated dataset, or of an import."""

    def __init__(
        self,
        dataset_dir: Path,
        recipe: str,
        split: str,
        *,
        roles: RoleChoice | None = None,
        label: str | None = None,
        conditions: Sequence[ConditionConfig] = (),
        store: PairStore | None = None,
    ) -> None:
        """roles: which field is what, over what the dataset states; label: the class of conditions that read
        `mix.label`; conditions: those of the network, whose fields are read too; store: the pairs, if they
        are open already.

        Raises ConfigError if the dataset lacks the recipe, the split or a field, or is not finished,
        ShardError if damaged.
        """
        self.dataset_dir, self.recipe, self.split = dataset_dir, recipe, split
        self._label = label
        self._conditions = image_conditions(conditions)
        self.store = open_store(dataset_dir, recipe, split) if store is None else store
        roles = roles or RoleChoice()
        self.roles = roles.over(self.store.roles)
        self._masks, self._mask_amounts, self._paste = roles.masks, roles.mask_amounts, roles.paste
        # The field of each condition. A light map can be drawn from what meta.json says of the lights.
        self._field_of = {
            one.field: self.roles.conditions.get(one.field, one.field)
            for one in self._conditions
            if not one.classes
        }
        self._drawn = {name for name, field in self._field_of.items() if field == LIGHT} - set(
            self.store.fields
        )
        self._check_fields()
        self._check_conditions()
        stored = [field for name, field in self._field_of.items() if name not in self._drawn]
        pasted = () if self._paste is None else (self._paste,)
        ends = (self.roles.source, self.roles.target, self.roles.mask)
        self._fields = tuple(dict.fromkeys((*ends, *pasted, *stored)))

    def __len__(self) -> int:
        return len(self.store)

    @property
    def digest(self) -> str:
        """Hex digest of what the pairs are read from: equal digests are equal pairs in equal order."""
        return self.store.digest

    @property
    def has_noise(self) -> bool:
        """Whether sources have noise in the hole of the mask."""
        return self.roles.hole is HoleContent.NOISE

    @property
    def has_varied_masks(self) -> bool:
        """Whether a pair's mask may be another one for every draw."""
        return self._masks is not None

    @property
    def kinds(self) -> PairKinds:
        return PairKinds(*(self.store.fields[field].kind for field in (self.roles.source, self.roles.target)))

    @property
    def forms(self) -> dict[str, Form]:
        """How what the network is given travels, by role; what it makes of one channel has three."""
        fields = self.store.fields
        ends = {role: form_of(fields[getattr(self.roles, role)]) for role in ("source", "target")}
        return {
            **{role: form._replace(channels=3) for role, form in ends.items()},
            **{
                f"condition {name}": form_of(fields[field])
                if name not in self._drawn
                else Form(FieldKind.LIGHT, 3, "uint8")
                for name, field in self._field_of.items()
            },
        }

    @property
    def facts(self) -> dict[str, Any]:
        """The roles, JSON-able: with the digest, all that the pairs depend on."""
        used = {name: self._field_of[name] for name in sorted(self._field_of)}
        own = {} if self._label is None else {"label": self._label}
        if self._paste is not None:
            own |= {"paste": self._paste}
        if self._masks is not None:
            own |= {"masks": dict(self._masks)}
        if self._mask_amounts:
            own |= {"mask_amounts": {name: list(ends) for name, ends in self._mask_amounts.items()}}
        return {**self.roles.model_dump(mode="json", exclude={"conditions"}), "conditions": used, **own}

    def spread(self, count: int) -> list[int]:
        """Positions of `count` pairs, or of all, spread evenly from the first to the last."""
        return np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int).tolist()

    def key(self, index: int) -> str:
        return self.store.key(self._checked(index))

    def target_image(self, index: int, frame: Frame) -> np.ndarray:
        """The target of pair `index` alone, as in `pair`; the other fields are not decoded."""
        field = self.roles.target
        _, images = self.store.read(self._checked(index), (field,))
        try:
            return as_picture(seen(self.store.fields[field], images[field], frame).image)
        except (KeyError, ValueError, TypeError) as error:
            raise _unusable(self.store.describe(index), error) from error

    def pair(self, index: int, frame: Frame | None = None, *, noise_draw: int | None = None) -> Pair:
        """Pair `index` in [0, len), in the dataset's order; `frame` None leaves it at its own size.

        Where the roles say so, the hole of the mask gets noise or a smooth fill, after resizing, which would
        turn noise grey. The noise is the sample's own, and so is the mask where masks vary; with `noise_draw`
        they are others for every draw. Raises ShardError, naming file and key, for anything that cannot be
        read or decoded, and DataReplaced for a file other than that on record.
        """
        meta, images = self.store.read(self._checked(index), self._fields)
        try:
            return self._assembled(meta, images, frame, noise_draw)
        except (KeyError, ValueError, TypeError) as error:
            raise _unusable(self.store.describe(index), error) from error

    def decoded(self, key: str, data: Mapping[str, bytes], frame: Frame | None = None) -> Pair:
        """The pair of a sample's files as they are in a shard, from whatever reads tars. As `pair`."""
        try:
            return self._assembled(*_decode_sample(key, data, self._fields), frame, None)
        except (ShardError, KeyError, ValueError, TypeError) as error:
            raise _unusable(f"{self.dataset_dir}, sample {key}", error) from error

    def _assembled(
        self,
        meta: dict[str, Any],
        images: dict[str, np.ndarray],
        frame: Frame | None,
        noise_draw: int | None,
    ) -> Pair:
        fields, roles = self.store.fields, self.roles
        sizes = {
            name: value.shape[:2]
            for name, value in images.items()
            if fields[name].kind.has_pixels_of_the_view
        }
        if len(set(sizes.values())) > 1:
            raise ValueError(f"sizes differ: {sizes}")
        framed = {name: seen(fields[name], value, frame) for name, value in images.items()}
        if self._masks is not None and roles.mask in framed:
            draw = rng(0, "mask", meta["key"], *([] if noise_draw is None else [noise_draw]))
            varied, _ = draw_variant(draw, framed[roles.mask].image, self._masks, self._mask_amounts)
            framed[roles.mask] = SeenField(varied)
        source, target = (framed[name] for name in (roles.source, roles.target))
        shown = as_picture(source.image)
        # Without a mask, everything counts.
        mask = framed[roles.mask].image if roles.mask in framed else np.full(shown.shape[:2], 255, np.uint8)
        if self._paste is not None:
            shown = pasted_over(shown, framed[self._paste].image, mask)
        shown = self._filled(shown, mask, meta, noise_draw)
        conditions = {
            one.field: self._condition(one, images, framed, meta, shown) for one in self._conditions
        }
        return Pair(
            meta["key"],
            shown,
            as_picture(target.image),
            mask,
            meta,
            target.valid,
            target.depth,
            conditions,
            self.kinds,
        )

    def _filled(
        self, picture: np.ndarray, mask: np.ndarray, meta: dict[str, Any], noise_draw: int | None
    ) -> np.ndarray:
        """`picture` with what the roles put into the hole of the mask."""
        if self.roles.hole is HoleContent.NOISE:
            return fill_noise(picture, mask, _noise_seed(meta, noise_draw))
        if self.roles.hole is HoleContent.SMOOTH:
            require("models", by="a hole that is filled smoothly")
            # Here: torch takes a second to load, and pairs are listed where nothing is trained.
            from pairbridge.training.data.smooth_fill import fill_picture_smoothly

            return fill_picture_smoothly(picture, mask)
        return picture

    def _condition(
        self,
        one: ConditionConfig,
        images: Mapping[str, np.ndarray],
        framed: Mapping[str, SeenField],
        meta: dict[str, Any],
        source: np.ndarray,
    ) -> np.ndarray:
        if one.classes:
            return one.class_image(one.class_in(self._told(meta)))
        if one.field in self._drawn:
            lights = [MapLight.from_params(light) for light in params_of(meta)["lights"]]
            return encode_light_map(lights, source.shape[1::-1], grey=False)
        field = self._field_of[one.field]
        if one.labels:
            return one.label_image(framed[field].image)
        # Of a map at its own size every texel's solid angle is known.
        return (
            seen(self.store.fields[field], images[field], None) if one.as_irradiance else framed[field]
        ).image

    def _told(self, meta: dict[str, Any]) -> dict[str, Any]:
        """What classes are read from: the sample's meta.json, and what the mix says of its source."""
        return meta if self._label is None else {**meta, "mix": {"label": self._label}}

    def _check_fields(self) -> None:
        """Source, target and mask are there, and of kinds that can be one."""
        there, roles = self.store.fields, self.roles
        ends = {"source": roles.source, "target": roles.target}
        missing = [f"{role} {name}" for role, name in ends.items() if name not in there]
        # A mask that nobody asked for by name may be missing.
        if roles.mask not in there and roles.mask != self.store.roles.mask:
            missing.append(f"mask {roles.mask}")
        if missing:
            raise self._lacks(missing)
        if self._paste is not None:
            self._check_paste(self._paste)
        if answers := sorted(name for name, field in self._field_of.items() if field == roles.target):
            raise ConfigError(
                f"the condition {answers[0]} is what the network is to predict",
                consequence="it would copy the condition, and have learned nothing where there is none",
                remedy="leave it out of denoiser.conditions, or give the mix another target in `roles`",
            )
        for role, name in ends.items():
            if there[name].kind in (FieldKind.LABEL, FieldKind.META):
                raise ConfigError(
                    f"the {role}, {name} of recipe {self.recipe!r} of {self.dataset_dir}, is "
                    f"{there[name].kind}",
                    consequence="its numbers are names, and a network's outputs are levels",
                    remedy=f"name a field of another kind as {role}: {_by_kind(there)}",
                )
        if roles.mask in there and there[roles.mask].kind is not FieldKind.MASK:
            raise ConfigError(
                f"the mask, {roles.mask} of recipe {self.recipe!r} of {self.dataset_dir}, is a "
                f"{there[roles.mask].kind}",
                consequence="what it covers is not known",
                remedy=f"name a mask under `roles`: {_by_kind(there)}",
            )
        form = form_of(there[roles.source])
        fills = roles.hole is not HoleContent.VISIBLE
        if fills and (form.kind, form.dtype) != (FieldKind.IMAGE, "uint8"):
            raise ConfigError(
                f"the source, {roles.source} of recipe {self.recipe!r} of {self.dataset_dir}, is "
                f"{form}, and its hole is to be filled ({roles.hole})",
                consequence="what fills it is 8-bit colour, which means nothing there",
                remedy="write `hole: visible` under `roles`, or name an 8-bit image as source",
            )

    def _check_paste(self, name: str) -> None:
        """What is pasted is a picture as the source is, and a mask says where."""
        there, roles = self.store.fields, self.roles
        if missing := [f"paste {one}" for one in (name, roles.mask) if one not in there]:
            raise self._lacks(missing)
        for one in (name, roles.source):
            form = form_of(there[one])
            if (form.kind, form.channels, form.dtype) != (FieldKind.IMAGE, 3, "uint8"):
                raise ConfigError(
                    f"`paste` lays {name} over {roles.source} of recipe {self.recipe!r} of "
                    f"{self.dataset_dir}, and {one} is {form}",
                    consequence="one cannot be laid over the other",
                    remedy=f"name 8-bit colour images under `roles`: {_by_kind(there)}",
                )

    def _check_conditions(self) -> None:
        there = self.store.fields
        stored = {name: field for name, field in self._field_of.items() if name not in self._drawn}
        missing = [f"condition {field}" for field in stored.values() if field not in there]
        if missing := missing + self._missing_in_meta():
            raise self._lacks(missing)
        for one in self._conditions:
            if one.field not in stored:
                continue
            spec = there[stored[one.field]]
            wide = one.is_radiance and spec.encoding != "radiance"
            if spec.kind is not one.shows or wide:
                stated = "an environment map" if wide else one.shows
                wanted = "labels: <how many>" if spec.kind is FieldKind.LABEL else f"kind: {spec.kind}"
                raise ConfigError(
                    f"the condition {one.field} is to be {stated}, and {stored[one.field]} of recipe "
                    f"{self.recipe!r} of {self.dataset_dir} is {form_of(spec)}",
                    consequence="framing and values would be those of another kind",
                    remedy=f"write `{wanted}` in denoiser.conditions, or name another field for it"
                    f" under `roles.conditions`: {_by_kind(there)}",
                )

    def _lacks(self, missing: Sequence[str]) -> ConfigError:
        return ConfigError(
            f"recipe {self.recipe!r} of {self.dataset_dir} has no {', '.join(missing)};"
            f" it has {_by_kind(self.store.fields)}",
            consequence="no sample of it could be used",
            remedy="name fields that the recipe stores under `roles`, or take another recipe",
        )

    def _missing_in_meta(self) -> list[str]:
        """Conditions that are made from a sample's meta.json, and that the first sample's does not have."""
        made = [one for one in self._conditions if one.classes or one.field in self._drawn]
        # Of a dataset on a store, reading a sample copies its shard: only where something depends on it.
        if not made or not len(self.store):
            return []
        try:
            meta = self.store.read(0, ())[0]
        except ShardError:
            # The loader replaces samples that it cannot read, and says so.
            return []
        missing = []
        for one in made:
            try:
                if one.classes:
                    one.class_image(one.class_in(self._told(meta)))
                else:
                    [MapLight.from_params(light) for light in params_of(meta)["lights"]]
            except (ShardError, KeyError, ValueError, TypeError) as error:
                missing.append(f"condition {one.field} ({type(error).__name__}: {error})")
        return missing

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"pair {index} of {len(self)}")
        return index


class ShardedPairs:
    """The committed pairs of a generated dataset, in planned order."""

    def __init__(self, dataset_dir: Path, recipe: str, split: str) -> None:
        manifest = DatasetManifest.from_folder(dataset_dir)
        self._name = f"{recipe}/{split} of {dataset_dir}"
        planned = _planned(manifest, dataset_dir, recipe, split)
        self.planned, self._planned_shards = planned.pairs, planned.shards
        self.shards: list[Shard] = list(open_shards(dataset_dir, recipe, split))
        self.digest = digest([[shard.name, shard.sha256] for shard in self.shards])
        self._ends = list(accumulate(len(shard) for shard in self.shards))
        self.sizes = PictureSizes.joined([shard.picture_sizes for shard in self.shards])
        self.roles = manifest.recipes[recipe].roles
        self.fields = {stem_of(name): spec for name, spec in manifest.recipes[recipe].fields.items()}

    def check_finished(self) -> None:
        """Raise ConfigError unless every planned shard is there, with a pair in one of them."""
        if len(self.shards) != self._planned_shards:
            raise ConfigError(
                f"{self._name} has {len(self.shards)} of {self._planned_shards} shards",
                consequence="the order of the data would change once the rest is made",
                remedy="finish the dataset with `pairbridge generate`; the same command resumes it",
            )
        if not len(self):
            raise ConfigError(
                f"{self._name} holds no pair: all of them are in quarantine",
                consequence="there is nothing to train on or to evaluate",
                remedy="read quarantine.jsonl in the dataset's folder; it names the reasons",
            )

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def key(self, index: int) -> str:
        shard, place = self._locate(index)
        return shard.key(place)

    def describe(self, index: int) -> str:
        shard, place = self._locate(index)
        return f"{shard.path}, sample {shard.key(place)}"

    def read(self, index: int, fields: Sequence[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        shard, place = self._locate(index)
        shard.prove()
        data = shard.read(place)
        try:
            return _decode_sample(shard.key(place), data, fields)
        except (ShardError, KeyError, ValueError, TypeError) as error:
            raise _unusable(self.describe(index), error) from error

    def _locate(self, index: int) -> tuple[Shard, int]:
        number = bisect.bisect_right(self._ends, index)
        return self.shards[number], index - (self._ends[number - 1] if number else 0)


def splits_of(dataset_dir: Path, recipe: str) -> set[str]:
    """The splits that a dataset or import has of a recipe; empty if it does not have the recipe."""
    if is_import(dataset_dir):
        manifest = ImportManifest.from_folder(dataset_dir)
        return set(manifest.splits) if manifest.name == recipe else set()
    recipes = DatasetManifest.from_folder(dataset_dir).recipes
    return set(recipes[recipe].splits) if recipe in recipes else set()


def _decode_sample(
    key: str, data: Mapping[str, bytes], fields: Sequence[str]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    meta = decode_meta(key, data["meta.json"])
    return meta, {
        stem_of(name): decode_field(name, data[name]) for name in sorted(data) if stem_of(name) in fields
    }


def _planned(manifest: DatasetManifest, dataset_dir: Path, recipe: str, split: str) -> SplitEntry:
    there = {name: sorted(entry.splits) for name, entry in manifest.recipes.items()}
    if recipe not in there or split not in there[recipe]:
        raise ConfigError(
            f"{dataset_dir} has no recipe {recipe!r} with split {split!r}; it has {there}",
            consequence="the source would be empty",
            remedy="name one of its recipes"
            if recipe not in there
            else f"add {split!r} to `recipes.{recipe}.groups` of its config and generate into a new folder",
        )
    return manifest.recipes[recipe].splits[split]


def _noise_seed(meta: dict[str, Any], draw: int | None) -> int:
    own = fill_seed(meta)
    return own if draw is None else seed31(own, "draw", draw)


def _by_kind(fields: Mapping[str, FieldSpec]) -> str:
    """What there is, for messages."""
    shown = sorted(
        (spec.kind.value, name) for name, spec in fields.items() if spec.kind is not FieldKind.META
    )
    return ", ".join(f"{kind} {name}" for kind, name in shown)


def _unusable(where: str, error: Exception) -> ShardError:
    why = error.cause if isinstance(error, PairbridgeError) else f"{type(error).__name__}: {error}"
    return ShardError(
        f"{where}: {why}",
        consequence="the sample is not used",
        remedy="run `pairbridge verify --decode` on the dataset; it lists all damage and what to rebuild",
    )
