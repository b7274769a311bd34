# `make demo` and `make test` set up everything they need (Python 3.11 is all they expect to find).
PYTHON ?=
export PYTHON

.PHONY: rooms setup demo test test-all lint reference benchmark clean

setup:
	@bash .ci/setup

demo: setup
	.venv/bin/pairbridge demo

test: setup
	.venv/bin/python -m pytest -q

# The long tests alone; together with `make test` they are all of them.
test-all: setup
	@bash .ci/setup browser
	.venv/bin/python -m pytest -q -m long

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

# The JSON schemas and the page of all configuration keys, from their models.
reference: setup
	.venv/bin/pairbridge config reference docs

benchmark: setup
	.venv/bin/python -m benchmarks.render
	.venv/bin/python -m benchmarks.demo_quality

# Prints the table of rooms into docs/architecture.md.
rooms: setup
	.venv/bin/python -m tests.test_architecture

clean:
	rm -rf runs .pytest_cache .ruff_cache
