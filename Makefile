.DEFAULT_GOAL := help
SHELL := /bin/bash

# The first Python from 3.11 to 3.13; another one: make book PYTHON=/path/to/python
PYTHON = $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo $$python && break; done)
# The most valuable first: what the time does not suffice for is left.
GPU_STUDIES = transport,primary,training,search,repeated
GPU_SECONDS = 540
PIP = $(@D)/bin/python -m pip --disable-pip-version-check --quiet

.PHONY: help book cpu paper gpu-parcel gpu-evidence published test lint lock system clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile

book: .venv/ready ## Run every notebook on synthetic cells and build the book
	.venv/bin/lcc run demo --jobs 2 --threads 1 --resume
	.venv/bin/lcc book

cpu: data-given .venv/ready ## The same on C-NMC, on a CPU: make cpu DATA=/path/to/C-NMC
	.venv/bin/lcc run cpu --data "$(DATA)" --resume
	.venv/bin/lcc book

paper: data-given .venv-gpu/ready ## The paper's settings, on a CUDA GPU: make paper DATA=/path/to/C-NMC
	.venv-gpu/bin/lcc run paper --data "$(DATA)" --resume
	.venv-gpu/bin/lcc book

gpu-parcel: data-given .venv/ready ## Pack the studies of params/gpu.yml: make gpu-parcel DATA=/path/to/C-NMC
	.venv/bin/lcc away pack gpu --data "$(DATA)" --out .gpu --studies $(GPU_STUDIES)

gpu-evidence: ## Compute them on this machine's GPU under JAX, in ten minutes; see the page on reproducing
	for part in .gpu/part-*; do bench/gpu_evidence.sh bring "$$part" || exit; done
	bench/gpu_evidence.sh compile
	bench/gpu_evidence.sh compute .gpu/results $(GPU_SECONDS)
	bench/gpu_evidence.sh rates .gpu/results

published: .venv-book/ready ## Build the published edition, without TensorFlow
	.venv-book/bin/jupyter-book build book

test: .venv/ready ## Run every test, in two processes
	.venv/bin/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

lint: .venv/ready ## Check style, format and the direction of imports
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports

lock: .venv/ready ## Renew the locked versions in requirements/
	$(COMPILE) requirements/run.txt pyproject.toml --extra cpu --extra lite --group install --group book --group dev
	$(COMPILE) requirements/book.txt --group book --constraint requirements/run.txt
	$(COMPILE) requirements/gpu.txt pyproject.toml --extra gpu --extra lite --group install --group book \
		--constraint requirements/run.txt

system: ## Install what apt must provide: libGL for OpenCV, Chromium for the tests
	.ci/system

clean: ## Remove the environments and what builds left; runs/ stays
	rm -rf .venv .venv-book .venv-gpu book/_build build *.egg-info
	rm -rf .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# One lock for Linux and macOS, Python 3.11 to 3.13: the newest versions that all of them take.
COMPILE = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--upgrade --generate-hashes --no-strip-extras --no-annotate --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock" --output-file

.PHONY: data-given
data-given:
	@test -n "$(DATA)" || { echo "Say where C-NMC lies: make $(MAKECMDGOALS) DATA=/path/to/C-NMC" >&2; exit 2; }

# An environment follows its lock. The package itself is installed from this folder, as it stands.
.venv/ready: requirements/run.txt
.venv-gpu/ready: requirements/gpu.txt
.venv-book/ready: requirements/book.txt

.venv/ready .venv-gpu/ready:
	$(install-lock)
	$(PIP) install --no-deps --no-build-isolation --editable .
	@$(@D)/bin/python -c "import cv2" || { echo "OpenCV does not load: a system library is missing." \
		"On Debian or Ubuntu: apt-get install libgl1 libglib2.0-0, or make system." >&2; exit 1; }
	@touch $@

.venv-book/ready:
	$(install-lock)
	@touch $@

define install-lock
@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and none was found." \
	"Name one: make PYTHON=/path/to/python" >&2; exit 2; }
$(PYTHON) -m venv $(@D)
@echo "Installing the locked packages into $(@D); this takes some minutes."
$(PIP) install --require-hashes --requirement $<
endef
