"""The page that `benchmarks.relight_by_map` writes of its figures."""


def markdown(result: dict) -> str:
    lines = [
        "# Relighting by an environment map",
        "",
        f"One bridge of {result['steps']} steps at 64x64 (five minutes of one core), the target's map as a",
        "condition (`encoding: irradiance`), judged on object families and environment maps that training",
        "never saw; `foreign` are objects and maps of others, which are not in the repository. In brackets",
        "95 % intervals of the crossed bootstrap over objects and maps. One training seed. Written by",
        "`benchmarks/relight_by_map.py`, which has the configuration of data and training.",
        "",
        "## Foreground PSNR in dB",
        "",
        "The ridge regression sees the map as well: its 27 numbers, the source's colour statistics, and",
        "their products, to one shift of the foreground's colour.",
        "",
        "| pairs | objects, maps | source | ridge | model | gain over source | gain over ridge |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in ("validation", "unseen", "foreign"):
        if name in result:
            of = result[name]
            cells = [shown(of["psnr"][method]) for method in ("source", "ridge", "model")]
            cells += [shown(of["gain"][over], sign=True) for over in ("source", "ridge")]
            lines.append(
                f"| {name}: {of['pairs']} | {of['objects']}, {of['maps']} | " + " | ".join(cells) + " |"
            )
    lines += [
        "",
        "## Shading",
        "",
        "Linear luminance ~ a + b . n over the object's pixels, n the stored normals: b over the mean",
        "luminance is where the light comes from and how hard it is. Cosine and angle are between its",
        "direction and the target's; the other columns correlate its parts over pairs. The source, lit",
        "otherwise, says how much the object's own colours and form give away.",
        "",
        "| pairs | of | cosine | median angle | to the right | up | towards the camera |",
        "|---|---|---|---|---|---|---|",
    ]
    turns = {
        f"turned, {name.replace('_', ' ')}": result["turned"][name]
        for name in ("with_background", "map_alone")
    }
    for name, of in {**{key: result[key] for key in ("unseen", "foreign") if key in result}, **turns}.items():
        for method in ("source", "output"):
            own = of["shading"][method]
            cells = [shown(own["correlation"][axis]) for axis in ("right", "up", "towards")]
            lines.append(
                f"| {name} | {method} | {shown(own['cosine'])} | {own['median_angle_deg']:.0f}° | "
                + " | ".join(cells)
                + " |"
            )
    figures = result["turned"]
    lines += [
        "",
        "## Turning the map",
        "",
        f"{figures['objects']} objects under {figures['maps']} maps in eight steps of 45°. The swing is b",
        "over the mean luminance, less its mean over the eight steps: its correlation with the truth's,",
        "and its size (1: as far as the truth's). In the second row the background stays that of the",
        "first step, so that the map alone says where the light is.",
        "",
        "| | correlation of the swing | size of the swing |",
        "|---|---|---|",
    ]
    for name in ("with_background", "map_alone"):
        of = figures[name]
        lines.append(f"| {name.replace('_', ' ')} | {shown(of['correlation'])} | {shown(of['size'])} |")
    lines += [
        "",
        "![Map, source, output and truth: two objects under eight lights](../images/relight_by_map.png)",
        "",
        "Each column: the map in camera coordinates, the source, the output, the truth. Above, the first",
        "test object under four turns of one map and under four others; below, the first object that a",
        "sun is turned around, before one background, so that the map alone says where it is. The light",
        "turns with the map, by a third of the truth's swing: outputs are hazy and often too dark, without",
        "highlights and cast shadows. It is not the number of steps: 30 % more left the size of the change",
        "in shading where it was, on validation pairs. More objects and another loss were not tried; one",
        "step is a regression, and may well make a mean of what the source leaves open, its own light.",
        "",
    ]
    return "\n".join(lines)


def shown(value: dict[str, float], *, sign: bool = False) -> str:
    mean = f"{value['mean']:+.2f}" if sign else f"{value['mean']:.2f}"
    return f"{mean} [{value['low']:.2f}, {value['high']:.2f}]"
