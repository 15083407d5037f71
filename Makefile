# Everything runs in .venv, made on first use and again when the requirements change.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed.stamp
BEAM_STAMP := .venv-beam/installed.stamp
IO_STAMP := .venv-io/installed.stamp
DOCS_STAMP := .venv-docs/installed.stamp

export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: install demo tutorial test test-all coverage test-beam test-io test-wheel fuzz docs lint results reproduce

install: $(STAMP)

demo: $(STAMP)
	$(BIN)/int4-conformer demo --output build/demo

# The tutorial in a fresh clone and environment, and what it printed: docs/tutorial_output.md.
tutorial: $(STAMP)
	$(BIN)/python -m docs.journey

# Two workers, whose work tests/conftest.py divides into groups, the longest first.
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist loadgroup --no-loadscope-reorder

test: $(STAMP)
	$(PYTEST)

# With the heavy ones, and more examples of the properties.
test-all: $(STAMP)
	EXAMPLES=5 $(PYTEST) -m "heavy or not heavy"

# Which lines of what computes, writes and reads integers no test runs: fails below 95 of 100. Code that
# TensorFlow has traced before, and what other processes run, is not seen.
COVERED := quant tflite export lite losses
coverage: $(STAMP)
	$(PYTEST) $(COVERED:%=--cov=int4_conformer.%) --cov-report=term:skip-covered --cov-fail-under=95

# Those of batches, with Apache Beam, in an environment without TensorFlow.
test-beam: $(BEAM_STAMP)
	.venv-beam/bin/python -m pytest -q tests/batch

# With tensorflow-io and the TensorFlow that it is built for, in an environment of their own: corpora,
# quantization, a short training and an export. That TensorFlow's oneDNN hangs (BUILD_NOTES.md).
test-io: $(IO_STAMP)
	TF_ENABLE_ONEDNN_OPTS=0 .venv-io/bin/python -m pytest -q -n 2 --dist loadfile tests/data tests/quant tests/test_quantize.py

# The wheel, alone in a fresh environment, without TensorFlow: it transcribes, and is not too large.
test-wheel:
	$(PYTHON) .ci/test_wheel.py

# Damaged and forged inputs to every parser, for so long; what is not refused as it should is kept.
MINUTES ?= 60
fuzz: $(STAMP)
	$(BIN)/python benchmarks/fuzz.py --minutes=$(MINUTES)

# What bits cost in words, and the models of the package beside others: the tables and the picture
# of the runs that are committed.
results: $(STAMP)
	$(BIN)/python benchmarks/accuracy/table.py
	$(BIN)/python benchmarks/accuracy/box_table.py

# The digits of that anew, with one seed; DATA holds the corpora.
DATA ?= ../shared/data
reproduce: $(STAMP)
	$(BIN)/python benchmarks/accuracy/reproduce.py --data=$(DATA) --output=build/accuracy

# The pages as a site, in an environment of its own: build/site/index.html.
docs: $(DOCS_STAMP)
	.venv-docs/bin/python docs/site.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(STAMP): setup.cfg setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

$(BEAM_STAMP): setup.cfg setup.py
	test -x .venv-beam/bin/python || $(PYTHON) -m venv .venv-beam
	.venv-beam/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[beam]' pytest pytest-xdist hypothesis
	touch $@

$(IO_STAMP): setup.cfg setup.py
	test -x .venv-io/bin/python || $(PYTHON) -m venv .venv-io
	.venv-io/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[io,dev]'
	touch $@

$(DOCS_STAMP): setup.cfg setup.py
	test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check '.[docs]'
	touch $@
