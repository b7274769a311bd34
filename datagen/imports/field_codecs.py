"""How a field of a foreign data set becomes pixels: what its bytes are, and what its values mean.

A codec is data: it stands in an import's manifest, so that what a pair looks like is part of its digest.
"""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.shards.fields import FieldKind, FieldSpec, mask_field, picture_field


class ImageCodec(FrozenModel):
    """An sRGB image: JPEG, PNG or WebP."""

    kind: Literal["image"] = "image"
    """Selects an sRGB image."""


class MaskCodec(FrozenModel):
    """An image of the foreground, or of what is to be removed, as `pairbridge.datagen.assets.mask_files`
    reads it; it is turned into 255 = foreground.
    """

    kind: Literal["mask"] = "mask"
    """Selects a mask."""
    foreground: Literal["white", "black"] = "white"
    """Value of the foreground, or of what is to be removed."""
    threshold: Annotated[int, Field(ge=1, le=255)] | None = None
    """Least value, within [1, 255] and with white as foreground, from which a pixel counts fully, for masks
    of more than two levels. Null: grey is partial coverage, except in JPEGs. Of two levels the lower is black
    and the higher white, whatever they are."""
    form: Literal["as_is", "box"] = "as_is"
    """Form of the mask: as it is, or each connected region replaced by its bounding box."""
    dilate_px: NonNegativeInt = 0
    """Growth of the mask in pixels, before bounding boxes are taken."""
    empty: Literal["refuse", "keep"] = "refuse"
    """What happens to a mask that marks nothing: its pair is refused, or kept, which teaches to leave an
    image alone."""


class NormalCodec(FrozenModel):
    """Unit normals in camera space as an 8-bit picture, 0 to 255 for -1 to 1; black where there are none."""

    kind: Literal["normal"] = "normal"
    """Selects normals."""
    y: Literal["up", "down"] = "up"
    """Direction of the second component; x points right and z to the camera."""


class DepthCodec(FrozenModel):
    """A depth map, turned into metres along the camera's axis; 0 where nothing was measured.

    png16: 16-bit grey PNG of planar depth. hypersim_hdf5: Hypersim's distance to the camera's centre in
    metres, made planar.
    """

    kind: Literal["depth"] = "depth"
    """Selects a depth map."""
    file: Literal["png16", "hypersim_hdf5"] = "png16"
    """File format: 16-bit grey PNG of planar depth, or Hypersim's HDF5 of distances."""
    units_per_m: PositiveFloat = 1000.0
    """Values per metre in png16; 0 means that nothing was measured."""
    far_m: PositiveFloat | None = None
    """Distance in metres from which on depth is not valid; null: none."""


Codec = Annotated[ImageCodec | MaskCodec | NormalCodec | DepthCodec, Field(discriminator="kind")]


def declared(codec: Codec) -> FieldSpec:
    """What `field_decoding.decode` gives."""
    match codec:
        case MaskCodec():
            return mask_field("imported mask")
        case DepthCodec():
            return FieldSpec(
                kind=FieldKind.DEPTH,
                encoding="planar",
                channels=1,
                dtype="float32",
                unit="metre",
                shows="imported depth; 0 where nothing was measured",
            )
        case NormalCodec():
            return FieldSpec(
                kind=FieldKind.NORMAL,
                encoding="vector_unsigned",
                channels=3,
                dtype="uint8",
                shows="imported normals; black where there are none",
            )
    return picture_field("imported image")
