"""The most that a file from elsewhere may claim or hold, in one place, each with its reason.

A reader compares what a file states of itself with these numbers, and with the file's own length, before any
memory is taken. Limits that are a user's choice (`photo_rules`, `object_rules`) are configuration, not here.
"""

MIB = 1 << 20

# --- Pictures ---------------------------------------------------------------------------------------------

MAX_PIXELS = 128_000_000
"""Of one picture: above the largest sensors (100 MP backs), and 384 MB as RGB."""
MAX_PICTURE_BYTES = 3 * MAX_PIXELS
"""A picture of MAX_PIXELS, uncompressed; whatever is larger is no photograph and no texture."""
MAX_TEXELS = 16384 * 8192
"""Of an environment map: 1.6 GB as float RGB."""
MAX_EXR_BYTES = 4 * 4 * MAX_TEXELS
"""Of all channels of all parts of an OpenEXR file, decoded: RGBA in full floats."""
MAX_EXR_HEADER_BYTES = 16 * MIB
"""The attributes of all parts: a manifest of every object of a film's scene has some megabytes."""
MAX_EXR_CHANNELS = 1024
"""Of a part, and as many attributes; renders have some hundred. OpenEXR takes a square of their time."""
MAX_EXR_TILE_TEXELS = 4096 * 4096
"""Of a tile, which a reader allocates whole; writers use 32 to 512 pixels a side."""
MAX_RADIANCE_BYTES = 5 * MAX_TEXELS
"""Four bytes a pixel, and what run lengths add at worst."""
MAX_RATIO_OF_DEFLATE = 1032
"""Bytes from one: RFC 1951 has 258 of them from two bits. What PNG, ZIP and EXR's ZIP cannot beat."""
MAX_JPEG_PIXELS_A_BYTE = 1024
"""A block of 8 x 8 pixels takes at least a bit of a JPEG; twice that, for sampled components."""
MAX_JPEG_SCANS = 100
"""Encoders write about ten. Each walks over the whole picture: thousands of empty ones take minutes."""
FREE_PIXELS = 4_000_000
"""Formats that need no bits for a plain colour (WebP, run lengths) may claim so many in any file."""
MAX_PLAIN_PIXELS_A_BYTE = 32768
"""Beyond FREE_PIXELS, of those formats: a black WebP of 24 megapixels has a kilobyte."""
MAX_PNG_TEXT_BYTES = 4 * MIB
"""Of the texts and the profile of a PNG, unpacked. Profiles of printers, the largest, have 2 to 3 MB."""
MAX_PICTURE_PARTS = 200_000
"""Chunks or segments: the largest PNG in chunks of 4 kB has half as many. Each takes a step in Python."""

# --- Texts ------------------------------------------------------------------------------------------------

MAX_JSON_DEPTH = 100
"""Brackets within each other: no format read here nests a tenth as deep, and every later walk may recurse."""
MAX_JSON_VALUES = 8_000_000
"""Of one file: parsed, `[],` takes 64 bytes for its three. The index of all of Objaverse has 3 million."""
MAX_FIELD_JSON_BYTES = 4 * MIB
"""A sample's meta.json has a few kilobytes."""
MAX_RECORD_BYTES = 64 * MIB
"""A shard of 5,000 samples has a sidecar of about 1.5 MB, an import of a hundred thousand tars 20 MB."""
MAX_DATASET_JSON_BYTES = 256 * MIB
"""Assets of a large user folder take about 300 bytes each."""
MAX_CREDITS_BYTES = 256 * MIB
"""An index of credits, unpacked; that of a whole Objaverse folder takes about 30 MB."""
MAX_SIDE_JSON_BYTES = 16 * MIB
"""config.json, tokenizer files and the like beside weights, and records of runs: some megabytes at most."""
MAX_GLTF_JSON_BYTES = 256 * MIB
"""The text of a glTF, embedded buffers included."""
MAX_YAML_BYTES = 16 * MIB
"""A catalogue.yaml with a line for each of a hundred thousand assets."""
MAX_YAML_DEPTH = 64
"""Mappings and lists within each other; configurations nest six deep, and reading them recurses."""

# --- Arrays and weights -----------------------------------------------------------------------------------

MAX_ARRAY_BYTES = 4 * 4 * MAX_PIXELS
"""Of a decoded array: four full floats for each pixel of the largest picture."""
MAX_SAFETENSORS_HEADER_BYTES = 100 * MIB
"""The format's own limit."""
