# make setup     .venv with what running needs        make check      lint, types, imports, commits
# make demo      a sample room, composed              make test       all tests; test-fast: without the slow ones
# make demo-batch  eight rooms of different length, composed by owt-batch
# make demo-live   a live room of two synthetic participants, mixed, pushed and recorded, and composed again
# make live        live rooms attacked: kills at random moments, sixteen streams for SOAK_MINUTES=3; live-packages: what
#                  live tests need of Debian; soak-live: four streams mixed live for SOAK_SECONDS=3600
# make schema    schema, key tables, packaged settings  make fuzz       mutated inputs, for FUZZ_SECONDS=60
# make attack    attacks on the whole tool, a quarter of an hour; kills-cluster: on clusters, ten minutes
# make gpu-proof a GPU proven in nine minutes; without one GPU_PROOF=--pretend; gpu-wheels, gpu-ffmpeg: what one lacks
# make bench     everything measured, and docs/performance.md written from it: two hours
.DEFAULT_GOAL := setup
.PHONY: setup demo demo-batch demo-live check test test-fast live soak-live live-packages attack kills-cluster fuzz schema bench gpu-proof gpu-wheels gpu-ffmpeg

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP_INSTALL := $(PYTHON) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
USABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
FUZZ_SECONDS ?= 60
SOAK_MINUTES ?= 3
SOAK_SECONDS ?= 3600
LIVE_PACKAGES := chromium iproute2 janus libnginx-mod-rtmp nftables nginx-light
# Without compiled files, each of the many processes that tests start compiles all modules again.
unexport PYTHONDONTWRITEBYTECODE
# Tests marked serial measure seconds and run alone; the others share the machine.
PYTEST := $(PYTHON) -m pytest

setup: $(VENV)/.run

$(VENV)/bin/pip:
	@for python in python3.13 python3.12 python3.11 python3; do \
	    if "$$python" -c '$(USABLE)' 2>/dev/null; then exec "$$python" -m venv --clear $(VENV); fi; \
	done; \
	echo 'Python 3.11 or newer, with its modules venv and ensurepip, is needed and was not found in PATH.' >&2; exit 1

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(PIP_INSTALL) --editable .
	@# Now, since later the disk may be full: Python keeps compiled files that were not written whole.
	$(PYTHON) -m compileall -q owtmix
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PIP_INSTALL) --editable '.[dev,ray,service]'
	@touch $@

$(VENV)/.bench: $(VENV)/.run
	$(PIP_INSTALL) --editable '.[bench]'
	@touch $@

demo: $(VENV)/.run
	$(PYTHON) -m owtmix.demo mixer
	./bin/owt-main ./mixer/cfg.json

demo-batch: $(VENV)/.run
	$(PYTHON) -m owtmix.demo --rooms mixer/batch
	./bin/owt-batch ./mixer/batch

demo-live: $(VENV)/.dev
	$(PYTHON) -m owtmix.demo.live mixer/live

check: $(VENV)/.dev
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports
	$(PYTHON) .ci/check_commits.py

test: $(VENV)/.dev
	$(PYTEST) --numprocesses auto --maxprocesses 8 -m 'not serial and not attack'
	$(PYTEST) -m 'serial and not attack'

test-fast: $(VENV)/.dev
	$(PYTEST) --numprocesses auto --maxprocesses 8 -m 'not serial and not slow and not attack'

attack: $(VENV)/.dev
	$(PYTEST) --numprocesses auto --maxprocesses 4 --durations 20 -m attack --ignore tests/cluster --ignore tests/live --ignore tests/mixing

live: $(VENV)/.dev
	OWT_SOAK_MINUTES=$(SOAK_MINUTES) $(PYTEST) -m attack tests/live tests/mixing

soak-live: $(VENV)/.dev
	$(PYTHON) -m benchmarks.lab live_mix --seconds $(SOAK_SECONDS)

# The tests of live rooms need real browsers and servers; those that lack one are skipped, which in CI is a failure.
live-packages:
	@if dpkg --status $(LIVE_PACKAGES) >/dev/null 2>&1; then exit 0; fi; \
	if ! command -v apt-get >/dev/null; then \
	    echo 'The tests of live rooms need $(LIVE_PACKAGES); there is no apt-get to install them.' >&2; exit 1; fi; \
	if [ "$$(id -u)" != 0 ]; then \
	    echo 'The tests of live rooms need $(LIVE_PACKAGES): run make live-packages as root.' >&2; exit 1; fi; \
	apt-get update --quiet=2 && \
	DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends $(LIVE_PACKAGES)

kills-cluster: $(VENV)/.dev
	$(PYTEST) --capture no -m attack tests/cluster

fuzz: $(VENV)/.dev
	$(PYTHON) -m tests.fuzz --seconds $(FUZZ_SECONDS)

# A wheel has no conf/, so the package holds a copy of the settings; a link would ship what an operator has edited.
schema: $(VENV)/.run
	$(PYTHON) -m owtmix.jobfile
	cp conf/owt.toml owtmix/owt.toml

gpu-proof: $(VENV)/.dev
	$(PYTHON) -m benchmarks.lab gpu_proof $(GPU_PROOF)

# For a machine that has a GPU and no network (docs/gpu.md): wheels, and FFmpeg, which does not fit beside them.
gpu-wheels: $(VENV)/.run
	$(PYTHON) -m benchmarks.lab.gpu_proof.wheels .whl

gpu-ffmpeg: $(VENV)/.bench
	mkdir -p .ffmpeg
	xz --stdout "$$($(PYTHON) -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')" > .ffmpeg/ffmpeg.xz

bench: $(VENV)/.bench
	$(PYTHON) -m benchmarks
	$(PYTHON) -m benchmarks.lab chunks
	$(PYTHON) -m benchmarks.lab sweep
	$(PYTHON) -m benchmarks plot
