"""The page that `benchmarks.relight_by_map` writes of its figures."""

_HEAD = """# Relighting by an environment map

Does turning the map turn the light? The [reference model](reference_model.md), by the map of the light
to come (*map*) and by that of the light that the source was taken in, too (*maps*), on families and
environment maps that training never saw; *foreign* are objects and maps of others, which are not in the
repository. Each object stands under one map in eight steps of 45 degrees; its source is lit by another.
*Map alone*: the background stays that of the first step, so that the map alone says where the light is.
In brackets 95 % intervals of the crossed bootstrap over objects and maps. One training seed. Written by
`python -m benchmarks.relight_by_map`, 128x128.

Linear luminance ~ a + b . n over the object's pixels, n the true normals: b over the mean luminance is
where the light comes from and how hard it is. The swing is it less its mean over the eight steps: its
correlation with the truth's (*its swing*), and its size (1: as far as the truth's). *Right*: the
correlation of b's part to the right over all pairs; the source's, lit otherwise, says how much form and
colours give away.
Angles are medians, between b and the truth's. Gains are in dB of foreground PSNR over the untouched source.

| objects, maps | given | background | gain | its swing | size | right | angle | source: right | angle |
|---|---|---|---|---|---|---|---|---|---|"""


def markdown(result: dict) -> str:
    rows = []
    for name, of in result.items():
        for given in ("map", "maps"):
            for place in ("with_background", "map_alone"):
                figures = of[given][place]
                model, source = (figures["shading"][one] for one in ("output", "source"))
                cells = [
                    f"{name}: {of['objects']}, {of['environments']}",
                    given,
                    "its own" if place == "with_background" else "map alone",
                    shown(figures["gain"], sign=True),
                    shown(figures["correlation"]),
                    shown(figures["size"]),
                    shown(model["correlation"]["right"]),
                    f"{model['median_angle_deg']:.0f}°",
                    shown(source["correlation"]["right"]),
                    f"{source['median_angle_deg']:.0f}°",
                ]
                rows.append("| " + " | ".join(cells) + " |")
    picture = "![Map, source, output and truth: two objects under eight lights](../images/relight_by_map.png)"
    caption = (
        "Each column: the map of the light to come, the source, the output by both maps, the truth. Above,\n"
        "the first test object under four turns of one map and under four others; below, the first opaque\n"
        "object that a sun is turned around, before one background."
    )
    return "\n".join([_HEAD, *rows, "", picture, "", caption, ""])


def shown(value: dict[str, float], *, sign: bool = False) -> str:
    mean = f"{value['mean']:+.2f}" if sign else f"{value['mean']:.2f}"
    return f"{mean} [{value['low']:.2f}, {value['high']:.2f}]"
