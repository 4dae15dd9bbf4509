# podlab: `make help` lists what there is.
PYTHON ?= python3
# What models are trained on: one file or several (RECORDING="a.parquet b.parquet").
RECORDING ?= data/recordings/second.parquet
# So many deployments of each service, drawn at random, where models are trained again and again; 0 for all. The figures
# in README and docs are of all of second.parquet.
PER_SERVICE ?= $(if $(filter data/recordings/second.parquet,$(RECORDING)),0,15)
PART ?= watcher
SECONDS ?= 800
SAMPLE ?= 40
PACKAGES ?=
# What was recorded beside them, where it was.
UNKNOWN := $(wildcard $(RECORDING:.parquet=-unknown.parquet))
FAULTS := $(wildcard $(RECORDING:.parquet=-faults.parquet))
NORMAL := $(wildcard $(RECORDING:.parquet=-normal.parquet))
# Made before, under other loads and in other configurations, with some of the same services.
OTHER := $(filter-out $(RECORDING),$(wildcard data/recordings/first.parquet data/recordings/second.parquet))
empty :=
# A list as a notebook's parameter.
listed = $(subst $(empty) $(empty),$(comma),$(strip $(1)))
comma := ,
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help train quick test fuzz mutants lab record croissant reports figures lint format bench demo image lock setup clean

help:  ## This list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 11

train: .venv/.installed  ## Set up and run all notebooks whose inputs changed on the recording in data/; prints the reports' paths
	$(BIN)/podlab run --all -p recordings=$(call listed,$(RECORDING)) -p other_recordings=$(call listed,$(OTHER)) \
		-p unknown_recordings=$(call listed,$(UNKNOWN)) -p fault_recordings=$(call listed,$(FAULTS)) \
		-p normal_recordings=$(call listed,$(NORMAL)) -p deployments_per_service=$(PER_SERVICE)

quick: .venv/.installed  ## The same on a small recording in a few minutes, to see that it works; into reports/quick
	$(BIN)/podlab run --all --quick

test: .venv/.installed  ## Set up and pass all tests
	$(BIN)/python -m pytest -n 2 -q

fuzz: .venv/.installed  ## Damage what is read from outside, each kind for so many SECONDS, and see that it is refused
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

mutants: .venv/.installed  ## Change one token at a time in PACKAGES and see whether tests notice (SAMPLE changes of each)
	test -x .cache/mutants/bin/cosmic-ray || { $(PYTHON) -m venv .cache/mutants && \
		.cache/mutants/bin/pip install --quiet 'cosmic-ray>=8.4,<9'; }
	.cache/mutants/bin/python -m tools.mutants --sample $(SAMPLE) $(PACKAGES)

lab: .venv/.installed  ## Open the notebooks in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks

record: .venv/.installed  ## Record real services in real containers (as root, with podman or docker)
	$(BIN)/podlab lab record --out data/recordings/mine.parquet

croissant: .venv/.installed  ## Describe the recordings in data/ anew, for those who load data by Croissant
	$(BIN)/podlab lab describe data/recordings/*.parquet --out data/recordings/croissant.json

reports: .venv/.installed  ## Build reports/index.html again from the notebooks' last results
	$(BIN)/podlab run --report-only

figures: .venv/.installed  ## Put the tables of the last make train into README.md and docs/results.md
	$(BIN)/python -m tools.write_figures

lint: .venv/.installed  ## Style, types, directions of imports, stripped notebooks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/nbstripout --verify notebooks/0[1-9]*.ipynb notebooks/1*.ipynb examples/*.ipynb

format: .venv/.installed  ## Put code and notebooks into the common form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/nbstripout notebooks/0[1-9]*.ipynb notebooks/1*.ipynb examples/*.ipynb

bench: .venv/.installed  ## Measure podlab beside its peers
	$(BIN)/python -m benchmarks.features
	$(BIN)/python -m benchmarks.fetch
	$(BIN)/python -m benchmarks.kubelet
	$(BIN)/python -m benchmarks.fetch_prometheus
	$(BIN)/python -m benchmarks.decide
	$(BIN)/python -m benchmarks.watch

demo: .venv/.installed  ## Watch the watcher at work without a cluster: pods start and are identified live
	$(BIN)/python -m tools.demo $(if $(STAY),--stay)

image: .venv/.installed  ## Build the watcher's image (PART=model: with a model in it; PART=trainer) with podman, buildah or docker
	tools/image $(PART)

lock: .venv/.installed  ## Write the locks anew from pyproject.toml
	tools/lock

setup: .venv/.installed  ## Only make .venv

clean:  ## Remove everything made: .venv, models, reports, caches
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info data/models
	find reports -mindepth 1 -not -name README.md -delete

.venv/.installed: requirements.lock pyproject.toml tools/make-venv
	tools/make-venv $(PYTHON)
