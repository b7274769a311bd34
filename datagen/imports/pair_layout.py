"""What layouts share that find pairs by the fields a config names, whatever a field's files are."""

from typing import Any, ClassVar, Literal, Self

from pydantic import PositiveFloat, field_validator, model_validator

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.imports.field_codecs import Codec, ImageCodec, MaskCodec
from pairbridge.datagen.imports.import_manifest import FieldKind, ImportKind

Task = Literal["translation", "removal"]

DEFAULT_CODECS: dict[FieldKind, Codec] = {
    "source": ImageCodec(),
    "target": ImageCodec(),
    "mask": MaskCodec(),
}


class PairLayout(FrozenModel):
    """A translation needs source and target; a removal target and mask, and a source too where shadows or
    reflections of the object lie outside its mask.
    """

    # The key that a field stands for which is written as a bare string or a list.
    bare: ClassVar[str]

    task: Task = "translation"
    """What the pairs are for: translation needs source and target, removal target and mask."""
    fields: dict[FieldKind, Any]
    """Source, target and mask: which files they are, and what those hold."""

    @field_validator("fields", mode="before")
    @classmethod
    def _short_forms(cls, fields: Any) -> Any:
        """A bare string, or a list of them, has the field's usual codec."""
        if not isinstance(fields, dict):
            return fields
        return {name: cls._written_out(name, value) for name, value in fields.items()}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        """With the short forms of a field."""
        schema = handler(core)
        fields = handler.resolve_ref_schema(schema)["properties"]["fields"]
        whole = fields["additionalProperties"]
        handler.resolve_ref_schema(whole)["required"] = [cls.bare]
        short = {"type": "string"}
        fields["additionalProperties"] = {"anyOf": [whole, short, {"type": "array", "items": short}]}
        return schema

    @classmethod
    def _written_out(cls, name: str, value: Any) -> Any:
        if isinstance(value, (str, list, tuple)):
            value = {cls.bare: value}
        if isinstance(value, dict) and name in DEFAULT_CODECS:
            value = {"codec": DEFAULT_CODECS[name], **value}
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {"target", "mask"} if self.task == "removal" else {"source", "target"}
        if not needed <= set(self.fields):
            raise ValueError(
                f"a {self.task} needs {' and '.join(sorted(needed))}; there is {sorted(self.fields)}"
            )
        return self

    @property
    def import_kind(self) -> ImportKind:
        return "imported_removal" if self.task == "removal" else "imported_pairs"

    @property
    def codecs(self) -> dict[FieldKind, Codec]:
        return {name: field.codec for name, field in self.fields.items()}


class DepthLayout(FrozenModel):
    """What layouts of depth data sets share; source is the image, target the depth."""

    far_m: PositiveFloat | None = None
    """Distance in metres beyond which depth is white and not valid; null: none."""
    span: Literal["percentiles", "far"] = "percentiles"
    """Depth range that black to white covers: the 2nd to 98th percentile of the image's valid depths, or 0 to
    far_m."""

    @property
    def import_kind(self) -> ImportKind:
        return "imported_pairs"
