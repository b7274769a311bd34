"""What a file really is, whatever its name says: for refusals that name the cause."""

# Of what turns up in folders of downloads under another suffix; the longest signature first.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"version https://git-lfs.github.com/spec", "a Git LFS pointer: the file itself was never fetched"),
    (0, b"\x00\x05\x16\x07", "a macOS AppleDouble file (`._` twin), which holds no content of its own"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG"),
    (0, b"\xff\xd8\xff", "a JPEG"),
    (0, b"GIF8", "a GIF"),
    (8, b"WEBP", "a WebP"),
    (4, b"ftypavif", "an AVIF"),
    *((4, b"ftyp" + brand, "a HEIC") for brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1")),
    (4, b"ftypqt", "a QuickTime film"),
    (4, b"ftyp", "an MP4 film"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (0, b"II*\x00", "a TIFF, or a camera's raw file"),
    (0, b"MM\x00*", "a TIFF, or a camera's raw file"),
    (0, b"BM", "a BMP"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"#?RADIANCE", "a Radiance picture (.hdr)"),
    (0, b"v/1\x01", "an OpenEXR picture (.exr)"),
    (0, b"glTF", "a binary glTF (.glb)"),
    (0, b"Kaydara FBX Binary", "a binary FBX"),
    (0, b"BLENDER", "a .blend file"),
    (0, b"PXR-USDC", "a binary USD (.usdc)"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"7z\xbc\xaf", "a 7z archive"),
    (0, b"%PDF", "a PDF"),
)
_MARKUP = ((b"<!doctype html", "an HTML page"), (b"<html", "an HTML page"), (b"<svg", "an SVG drawing"))
SIGNATURE_BYTES = 256


def content_of(head: bytes) -> str | None:
    """What a file is by its first SIGNATURE_BYTES bytes, in words; None where they say nothing."""
    if not head:
        return "empty"
    if not any(head):
        return "nothing but zeros: a download that was cut off"
    for place, signature, name in _SIGNATURES:
        if head[place : place + len(signature)] == signature:
            return name
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<?xml"):
        return "an SVG drawing" if b"<svg" in text else "an XML document"
    return next((name for start, name in _MARKUP if text.startswith(start)), None)
