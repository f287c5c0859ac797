# Two commands matter: `make run` shows the dashboard, `make test` proves it works.
# Both need nothing but Python (3.11 or newer), make and a package index.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 2

.PHONY: run test lint types unit browser chromium screenshots bench lock sbom clean

run: $(VENV)/.run
	$(BIN)/streamlit run app.py

test: $(VENV)/.dev chromium lint types unit

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

# One thread a process: two processes on two cores would otherwise fight over them.
unit: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadgroup --cov --cov-report=term-missing:skip-covered

browser: $(VENV)/.dev chromium
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/browser

screenshots: $(VENV)/.dev chromium
	$(BIN)/python tests/browser/screenshots.py

# Ours beside its peers; DATA is a file of sentences, e.g. SST-2's dev.tsv. Environments of peers are made under build/.
bench: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks.peers $(DATA) --save

# Every version that is installed, with the digests of its files. Not torch and what only torch needs: its builds for CPUs
# and for GPUs have other files under one version, so it comes first and from wherever the device wants it.
CUDA := triton cuda-bindings cuda-pathfinder cuda-toolkit $(addprefix nvidia-,cublas cuda-cupti cuda-nvrtc cuda-runtime \
	cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 nccl-cu13 nvjitlink nvshmem-cu13 nvtx)
lock: $(VENV)/bin/python
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip compile -q --generate-hashes --universal --python-version 3.11 --no-header --no-annotate \
		$(addprefix --extra ,screenshot login profile) $(addprefix --no-emit-package ,torch $(CUDA)) \
		--upgrade -o requirements.lock pyproject.toml

# What is in the lock, for whoever has to know (CycloneDX).
sbom: $(VENV)/bin/python
	$(BIN)/python -m pip install -q cyclonedx-bom
	@mkdir -p build
	$(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible -o build/sbom.cdx.json

# A Chromium that is there, else the distribution's, else Playwright's own.
chromium: $(VENV)/.dev
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	|| (apt-get update -qq && apt-get install -y -qq chromium >/dev/null) \
	|| (sudo -n apt-get update -qq && sudo -n apt-get install -y -qq chromium >/dev/null) \
	|| $(BIN)/playwright install --with-deps chromium

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q -e ".[dev]"
	@touch $@ $(VENV)/.run

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .coverage dist build
