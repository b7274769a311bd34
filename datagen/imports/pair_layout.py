"""What layouts share that find pairs by the fields a config names, whatever a field's files are."""

from typing import Any, ClassVar, Literal, Self

from pydantic import PositiveFloat, field_validator, model_validator

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.imports.field_codecs import Codec, DepthCodec, ImageCodec, MaskCodec, NormalCodec
from pairbridge.datagen.shards.fields import FieldStem, HoleContent, Roles

Task = Literal["translation", "removal"]

DEFAULT_CODECS: dict[FieldStem, Codec] = {
    "source": ImageCodec(),
    "target": ImageCodec(),
    "mask": MaskCodec(),
    "depth": DepthCodec(),
    "normal": NormalCodec(),
}


class PairLayout(FrozenModel):
    """A translation needs source and target; a removal target and mask, and a source too where shadows or
    reflections of the object lie outside its mask.
    """

    # The key that a field stands for which is written as a bare string or a list.
    bare: ClassVar[str]

    task: Task = "translation"
    """What the pairs are for: translation needs source and target, removal target and mask."""
    fields: dict[FieldStem, Any]
    """Source, target, mask and any further fields: which files they are, and what those hold. Without a
    codec, fields called mask, depth and normal hold these, and all others images."""

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
        schema = super().__get_pydantic_json_schema__(core, handler)
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
        if isinstance(value, dict):
            value = {"codec": DEFAULT_CODECS.get(name, ImageCodec()), **value}
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
    def roles(self) -> Roles:
        if self.task == "translation":
            return Roles()
        return Roles(source="source" if "source" in self.fields else "target", hole=HoleContent.NOISE)

    @property
    def codecs(self) -> dict[FieldStem, Codec]:
        return {name: field.codec for name, field in self.fields.items()}


class DepthLayout(FrozenModel):
    """What layouts of depth data sets share; source is the image, target the depth."""

    far_m: PositiveFloat | None = None
    """Distance in metres from which on depth is not valid; null: none."""

    @property
    def roles(self) -> Roles:
        return Roles()
