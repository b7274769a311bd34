"""The columns of a named benchmark: figures of one output, by the metrics of `training.evaluation`."""

from collections.abc import Callable

import numpy as np

from pairbridge.pipelines.judging.benchmark_cases import Case
from pairbridge.pipelines.judging.named_benchmarks import Kind, NamedBenchmark
from pairbridge.training.evaluation.baselines import colour_transfer, inpaint, smooth_fill
from pairbridge.training.evaluation.metrics import (
    METRICS,
    Metric,
    depth_metrics,
    foreground_mse,
    normal_metrics,
    psnr,
    ssim,
    ssim_map,
)
from pairbridge.training.evaluation.ratios import appearance_ratios

# What papers print, in their order: name -> how it is called and shown.
COLUMNS: dict[Kind, dict[str, Metric]] = {
    "removal": {
        "fid": METRICS["fid"],
        "local_fid": METRICS["local_fid"],
        "foreground_mse": Metric("fMSE", "", 0, False),
        "psnr": METRICS["psnr"],
        "ssim": METRICS["ssim"],
        "lpips": METRICS["lpips"],
        "context_deviation": METRICS["context_deviation"],
    },
    "harmonisation": {
        "mse": Metric("MSE", "", 2, False),
        "foreground_mse": Metric("fMSE", "", 2, False),
        "psnr": METRICS["psnr"],
    },
    "shadow": {
        "rmse": Metric("GRMSE", "", 3, False),
        "local_rmse": Metric("LRMSE", "", 3, False),
        "ssim": Metric("GSSIM", "", 3, True),
        "local_ssim": Metric("LSSIM", "", 3, True),
        "psnr": Metric("GPSNR", "dB", 2, True),
        "local_psnr": Metric("LPSNR", "dB", 2, True),
    },
    "depth": {name: METRICS[name] for name in ("abs_rel", "delta1", "delta2")},
    "normals": {
        name: METRICS[name]
        for name in ("mean_angle", "within_5", "within_7", "within_11", "within_22", "within_30")
    },
}


def score(benchmark: NamedBenchmark, case: Case, output: np.ndarray) -> dict[str, float]:
    """Figures of `output`, of the case's size and of the form of its target (depth: on any scale that grows
    with distance). Those of weights (LPIPS, FID, context deviation) are not among them.
    """
    match benchmark.kind:
        case "depth":
            return depth_metrics(output, case.target, case.counts, benchmark.range_m)
        case "normals":
            return normal_metrics(output, case.target, case.counts)
        case "shadow":
            return _shadow(output, case)
    whole = _mse(output, case.target)
    figures = {
        "mse": whole,
        "psnr": psnr(whole),
        "foreground_mse": foreground_mse(output, case.target, case.mask),
    }
    if benchmark.kind == "removal":
        figures["ssim"] = ssim(output, case.target)
    return {name: figures[name] for name in COLUMNS[benchmark.kind] if name in figures}


def ratios(benchmark: NamedBenchmark, case: Case, output: np.ndarray) -> dict[str, float]:
    """Contrast and texture within the mask, over the target's, where the mask says what is to change. No
    paper prints them: they tell an output that is right from one that is between two answers.
    """
    if benchmark.kind not in ("removal", "harmonisation"):
        return {}
    return appearance_ratios(output, case.target, case.mask)


def _mse(output: np.ndarray, target: np.ndarray) -> float:
    return float(np.square(output.astype(np.float64) - target.astype(np.float64)).mean())


def _shadow(output: np.ndarray, case: Case) -> dict[str, float]:
    whole = _mse(output, case.target)
    local = foreground_mse(output, case.target, case.counts)
    similar = ssim_map(output, case.target).mean(axis=2)
    return {
        "rmse": float(np.sqrt(whole)),
        "local_rmse": float(np.sqrt(local)),
        "ssim": ssim(output, case.target),
        "local_ssim": float(similar[case.counts].mean()),
        "psnr": psnr(whole),
        "local_psnr": psnr(local),
    }


def pooled(benchmark: NamedBenchmark, case: Case) -> float:
    """What a case counts for in a mean: normals are averaged over pixels, all else over images."""
    return float(case.counts.sum()) if benchmark.kind == "normals" else 1.0


def trivial(benchmark: NamedBenchmark) -> dict[str, Callable[[Case], np.ndarray]]:
    """Predictors that know nothing, by name."""
    untouched = {"source": lambda case: case.source}
    match benchmark.kind:
        case "removal":
            fills = {"inpaint": inpaint, "smooth fill": smooth_fill}
            return untouched | {name: _of_mask(fill) for name, fill in fills.items()}
        case "harmonisation":
            return untouched | {"colour transfer": _of_mask(colour_transfer)}
        case "shadow":
            return untouched
        case "depth":
            return {"one distance": lambda case: np.zeros(case.target.shape, np.float32)}
        case "normals":
            return {"facing the camera": lambda case: np.zeros_like(case.target) + np.array([0, 0, 1])}


def _of_mask(fill: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[[Case], np.ndarray]:
    return lambda case: fill(case.source, case.mask)
