# podlab: `make help` lists the targets.
PYTHON ?= python3
# What models are trained on: one file or several (RECORDING="a.parquet b.parquet"). By default all recordings of the sites
# that are there, without those for tests only.
SITES := alpha bravo charlie delta
RECORDING ?= $(filter-out %-unknown.parquet %-faults.parquet %-normal.parquet,\
	$(sort $(wildcard $(SITES:%=data/recordings/%-*.parquet))))
# Number of deployments of each service, chosen at random, to train many models on; 0 for all.
PER_SERVICE ?= 8
PART ?= watcher
SECONDS ?= 800
SAMPLE ?= 40
PACKAGES ?=
# Test recordings that belong to them, if there are any.
UNKNOWN := $(wildcard $(RECORDING:.parquet=-unknown.parquet))
FAULTS := $(wildcard $(RECORDING:.parquet=-faults.parquet))
NORMAL := $(wildcard $(RECORDING:.parquet=-normal.parquet))
# Older recordings, with other loads and configurations and some of the same services.
OTHER := $(filter-out $(RECORDING),$(wildcard data/recordings/first.parquet data/recordings/second.parquet))
# Jupyter asks root to say that it knows who it is.
ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
empty :=
# A list as a notebook's parameter.
listed = $(subst $(empty) $(empty),$(comma),$(strip $(1)))
comma := ,
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help train quick test fuzz mutants jupyter record docs croissant reports figures lint format bench demo image lock setup clean

help:  ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 11

train: .venv/.installed  ## Set up, run all notebooks whose inputs changed, and build the report
	$(BIN)/podlab run --all -p recordings=$(call listed,$(RECORDING)) -p other_recordings=$(call listed,$(OTHER)) \
		-p unknown_recordings=$(call listed,$(UNKNOWN)) -p fault_recordings=$(call listed,$(FAULTS)) \
		-p normal_recordings=$(call listed,$(NORMAL)) -p deployments_per_service=$(PER_SERVICE)

quick: .venv/.installed  ## The same on a small recording, as a smoke test of a few minutes; writes to reports/quick
	$(BIN)/podlab run --all --quick

test: .venv/.installed  ## Set up and run all tests
	$(BIN)/python -m pytest -n 2 -q

fuzz: .venv/.installed  ## Fuzz the parsers of external input, each for SECONDS
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

mutants: .venv/.installed  ## Mutation tests of PACKAGES, with SAMPLE mutants of each
	test -d .cache/mutants/cosmic_ray || $(BIN)/python -m pip install --quiet --target .cache/mutants 'cosmic-ray>=8.4,<9'
	$(BIN)/python -m tools.mutants --sample $(SAMPLE) $(PACKAGES)

jupyter: .venv/.installed  ## Open the project in JupyterLab, at the first notebook
	$(BIN)/jupyter lab --notebook-dir=. --LabApp.default_url=/lab/tree/notebooks/00_tutorial.ipynb $(ROOT)

record: .venv/.installed  ## Record real services in real containers (as root, with podman or docker)
	$(BIN)/podlab lab record --out data/recordings/mine.parquet

croissant: .venv/.installed  ## Rewrite the Croissant description of the recordings in data/
	$(BIN)/podlab lab describe data/recordings/*.parquet --out data/recordings/croissant.json

reports: .venv/.installed  ## Rebuild reports/index.html from the notebooks' last results
	$(BIN)/podlab run --report-only

docs: .venv/.installed  ## Build the documentation as a site that needs no network, into build/site
	$(BIN)/python -m tools.build_docs
	@echo "build/site/index.html; with search: $(BIN)/python -m http.server --bind 127.0.0.1 --directory build/site"

figures: .venv/.installed  ## Copy the tables of the last make train into docs/results.md
	$(BIN)/python -m tools.write_figures

lint: .venv/.installed  ## Check style, types, import contracts and stripped notebooks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/nbstripout --verify notebooks/0[1-9]*.ipynb notebooks/1*.ipynb examples/*.ipynb

format: .venv/.installed  ## Format code and notebooks
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/nbstripout notebooks/0[1-9]*.ipynb notebooks/1*.ipynb examples/*.ipynb

bench: .venv/.installed  ## Compare podlab's speed with other tools
	$(BIN)/python -m benchmarks.features
	$(BIN)/python -m benchmarks.fetch
	$(BIN)/python -m benchmarks.kubelet
	$(BIN)/python -m benchmarks.fetch_prometheus
	$(BIN)/python -m benchmarks.decide
	$(BIN)/python -m benchmarks.watch

demo: .venv/.installed  ## Run the watcher without a cluster: pods start and are identified live
	$(BIN)/python -m tools.demo $(if $(STAY),--stay)

image: .venv/.installed  ## Build the watcher's image (PART=model: with a model in it; PART=trainer) with podman, buildah or docker
	tools/image $(PART)

lock: .venv/.installed  ## Rewrite the lock files from pyproject.toml
	tools/lock

setup: .venv/.installed  ## Only create .venv

clean:  ## Remove everything that was built: .venv, models, reports, caches
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info data/models
	find reports -mindepth 1 -not -name README.md -delete

.venv/.installed: requirements.lock pyproject.toml tools/make-venv
	tools/make-venv $(PYTHON)
