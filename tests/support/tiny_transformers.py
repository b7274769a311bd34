"""Transformers of a few thousand parameters, one of each kind that a denoiser can be."""

TRANSFORMERS = {
    "dit": {"kind": "dit", "layers": 2, "heads": 2, "head_width": 8, "grid": 8},
    "sd3": {
        "kind": "sd3",
        "layers": 2,
        "heads": 2,
        "head_width": 8,
        "text_width": 12,
        "pooled_width": 10,
        "grid": 8,
        "largest_side": 64,
    },
    "flux": {
        "kind": "flux",
        "layers": 1,
        "single_layers": 1,
        "heads": 2,
        "rotary": (4, 6, 6),
        "text_width": 12,
        "pooled_width": 10,
    },
}
