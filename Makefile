# `make demo` and `make test` set up everything they need (Python 3.11 is all they expect to find).
PYTHON ?=
export PYTHON

# Three processes on two cores: one works while two wait for clocks, machines and Blender. Together they take some 8 GB,
# each with a Ray of its own. They start hundreds of others, so byte code is kept, and a thread each is what they
# get.
TEST = OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= .venv/bin/python -m pytest -q -n 3

# What failed in the last of them, once more and with nothing beside it: hundreds of processes on a small shared machine can
# starve one past its deadline. A test that fails twice has failed; one that passes is in the output of both.
again:
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q -m "long or not long" --last-failed --last-failed-no-failures none

.PHONY: again rooms setup demo test test-all test-other-python test-image lint reference docs benchmark clean

setup:
	@bash .ci/setup

demo: setup
	.venv/bin/pairbridge demo

# A file's tests stay together, in the order of the folders: what they share is made once.
test: setup
	$(TEST) --dist loadfile --no-loadscope-reorder

# The long tests alone; together with `make test` they are all of them. Each goes where there is room, but for those of an
# xdist_group, which share something large, or take a cluster's machines: the groups come first.
test-all: setup
	@bash .ci/setup browser
	@bash .ci/setup docs
	$(TEST) --dist loadgroup -m long

# Python 3.13 with NumPy 2 and Blender 5.2: renderer, trainer and readers, in an environment of their own. Where there is no
# such Python nothing is tested, and that is said.
OTHER_TESTS = tests/datagen/blender tests/training tests/pipelines/pages tests/pipelines/reading \
	$(addprefix tests/datagen/,shards dataset imports exports)
test-other-python: setup
	@bash .ci/setup other-python
	@test ! -x .venv-3.13/bin/python || OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= .venv-3.13/bin/python -m pytest -q \
		-n 2 --dist loadfile $(OTHER_TESTS)

# The Dockerfile's steps in a clean Debian below a folder, as root: ten minutes, 4 GB.
test-image: setup
	@bash .ci/setup clean-root
	.venv/bin/python -m pytest -q -m clean_root

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	@bash .ci/audit

# The JSON schemas and the page of all configuration keys, from their models.
reference: setup
	.venv/bin/pairbridge config reference docs

# The site: build/site/index.html, to be opened from the disk; its search wants a server (python -m http.server).
# Quiet, mkdocs would not count the warnings that `strict` makes errors.
docs: setup
	@bash .ci/setup docs
	cd .ci/site && NO_MKDOCS_2_WARNING=1 ../../.venv/bin/python -m mkdocs build --clean

benchmark: setup
	.venv/bin/python -m benchmarks.render
	.venv/bin/python -m benchmarks.reference_model

# Prints the table of rooms into docs/architecture.md.
rooms: setup
	.venv/bin/python -m tests.test_architecture

clean:
	rm -rf runs .pytest_cache .ruff_cache
