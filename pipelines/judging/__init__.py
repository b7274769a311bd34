"""Published benchmarks by name: a model, and outputs of others, on a user's download of the real data.

Hands out `named_benchmarks.BENCHMARKS`, what each is, and `benchmark_run.run_benchmark`. Layouts, splits,
sizes, valid regions and columns are those of the papers and of the code that they were published with; no
data set is here. Judging on generated pairs is `pairbridge.training.evaluation`.
"""
