.DEFAULT_GOAL := help
SHELL := /bin/bash

# The first Python from 3.11 to 3.13; another one: make book PYTHON=/path/to/python
FITS = import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON = $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -Ic '$(FITS)' 2>/dev/null && echo $$python && break; done)
PIP = $(@D)/bin/python -I -m pip --disable-pip-version-check --quiet
# The most valuable first: what the time does not suffice for is left.
GPU_STUDIES = transport,primary,training,search,repeated
GPU_SECONDS = 540

# A path that begins with the home directory's sign; not every shell expands it after DATA=.
# As it was written: no sign of it means anything to make or to the shell.
override DATA := $(subst ^first^,,$(subst ^first^~/,$(HOME)/,^first^$(value DATA)))
GIVEN_DATA := '$(subst ','\'',$(DATA))'

# Settings of the user's shell stay out of the environments, save those that pip needs to reach a
# registry and those that change no module and no install.
PIP_KEPT = INDEX_URL EXTRA_INDEX_URL FIND_LINKS NO_INDEX TRUSTED_HOST CERT CLIENT_CERT PROXY \
	CONFIG_FILE CACHE_DIR NO_CACHE_DIR DEFAULT_TIMEOUT TIMEOUT RETRIES KEYRING_PROVIDER
PYTHON_KEPT = DONTWRITEBYTECODE HASHSEED IOENCODING NOUSERSITE PYCACHEPREFIX UNBUFFERED UTF8
unexport $(filter-out $(PIP_KEPT:%=PIP_%),$(filter PIP_%,$(.VARIABLES)))
unexport $(filter-out PYTHON PYTHON_KEPT $(PYTHON_KEPT:%=PYTHON%),$(filter PYTHON%,$(.VARIABLES)))
# It outweighs a line of the user's pip.conf.
export PIP_USER = 0

.PHONY: help book cpu paper gpu-parcel gpu-evidence published test portability lint lock system clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile

book: .venv/ready ## Run every notebook on synthetic cells and build the book
	.venv/bin/lcc run demo --jobs 2 --threads 1 --resume
	.venv/bin/lcc book

cpu: data-given .venv/ready ## The same on C-NMC, on a CPU: make cpu DATA=/path/to/C-NMC
	.venv/bin/lcc run cpu --data $(GIVEN_DATA) --resume
	.venv/bin/lcc book

paper: data-given .venv-gpu/ready ## The paper's settings, on a CUDA GPU: make paper DATA=/path/to/C-NMC
	.venv-gpu/bin/lcc run paper --data $(GIVEN_DATA) --resume
	.venv-gpu/bin/lcc book

gpu-parcel: data-given .venv/ready ## Pack the studies of params/gpu.yml: make gpu-parcel DATA=/path/to/C-NMC
	.venv/bin/lcc away pack gpu --data $(GIVEN_DATA) --out .gpu --studies $(GPU_STUDIES)

gpu-evidence: ## Compute them on this machine's GPU under JAX, in ten minutes; see the page on reproducing
	for part in .gpu/part-*; do bench/gpu_evidence.sh bring "$$part" || exit; done
	bench/gpu_evidence.sh compile
	bench/gpu_evidence.sh compute .gpu/results $(GPU_SECONDS)
	bench/gpu_evidence.sh rates .gpu/results

published: .venv-book/ready ## Build the published edition, without TensorFlow
	.venv-book/bin/jupyter-book build book

test: .venv/ready ## Run every test, in two processes
	.venv/bin/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

portability: .venv/ready ## Run the tests of numbers as other processors would compute them
	@set -e; for kind in $(PROCESSORS); do for threads in 1 2; do \
		echo "$$kind, threads: $$threads"; \
		env $$kind OMP_NUM_THREADS=$$threads OPENBLAS_NUM_THREADS=$$threads \
			TF_NUM_INTRAOP_THREADS=$$threads .venv/bin/python -m pytest -q $(NUMERIC); \
	done; done

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

# Instruction sets and kernels that a processor may have; each adds floats in another order.
PROCESSORS = ONEDNN_MAX_CPU_ISA=AVX2 ONEDNN_MAX_CPU_ISA=SSE41 TF_ENABLE_ONEDNN_OPTS=0 OPENBLAS_CORETYPE=Haswell
# Files that compare floats and need no finished run.
NUMERIC = $(patsubst %,tests/test_%.py,augment attention_reference blocks_and_losses calibration classical \
	classifier frozen fused metrics predict statistics training) tests/trials/test_layers.py \
	tests/trials/test_precision.py

# One lock for Linux and macOS, Python 3.11 to 3.13: the newest versions that all of them take.
COMPILE = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--upgrade --generate-hashes --no-strip-extras --no-annotate --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock" --output-file

.PHONY: data-given
data-given:
	@test -n $(GIVEN_DATA) || { echo "Say where C-NMC lies: make $(MAKECMDGOALS) DATA=/path/to/C-NMC" >&2; exit 2; }

# An environment follows its lock. The package itself is installed from this folder, as it stands.
# It is made anew where it is not whole, was made in another folder, has lost its Python, or is of
# another Python than the one that PYTHON= names.
WHICH = import sys; print(sys.version, sys.base_prefix)
anew = $(shell test -f $(1)/ready && grep -qF " $(CURDIR)/$(1)" $(1)/pyvenv.cfg \
	&& $(1)/bin/python -Ic '$(FITS)' $(if $(filter command,$(firstword $(origin PYTHON))), \
	&& test "$$($(1)/bin/python -Ic '$(WHICH)')" = "$$($(PYTHON) -Ic '$(WHICH)')") \
	>/dev/null 2>&1 || echo anew)

.PHONY: anew
anew: ;

.SECONDEXPANSION:
.venv/ready: requirements/run.txt $$(call anew,$$(@D))
.venv-gpu/ready: requirements/gpu.txt $$(call anew,$$(@D))
.venv-book/ready: requirements/book.txt $$(call anew,$$(@D))

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
@$(PYTHON) -Ic '$(FITS)' || { echo "$(PYTHON) is no Python 3.11, 3.12 or 3.13." \
	"Name another one: make PYTHON=/path/to/python" >&2; exit 2; }
$(if $(filter anew,$^),$(PYTHON) -I -m venv --clear $(@D))
@echo "Installing the locked packages into $(@D); this takes some minutes."
$(PIP) install --require-hashes --requirement $<
endef
