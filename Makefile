SHELL := /bin/bash
PYTHON ?= python3
DEV := .venv/bin
RUN := .venv-serve/bin
PIP_FLAGS := --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
export ORT_DISABLE_TELEMETRY := 1

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Two environments: what serves never sees torch.
.venv-serve/ready: constraints.txt pyproject.toml
	$(PYTHON) -m venv .venv-serve
	$(RUN)/pip install $(PIP_FLAGS) -c constraints.txt -e .
	@touch $@

.venv/ready: constraints.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(DEV)/pip install $(PIP_FLAGS) -c constraints.txt -e '.[train,dev]'
	@touch $@

.PHONY: serve
serve: .venv-serve/ready ## Set up (without torch) and serve the bundled models on 127.0.0.1:8000
	exec $(RUN)/python -m service

.PHONY: test
test: check ## Run every check and test
	$(DEV)/python -m pytest

.PHONY: check
check: .venv/ready ## Format, lint, types, import contracts, README's tables
	$(DEV)/ruff format --check .
	$(DEV)/ruff check .
	$(DEV)/mypy
	$(DEV)/lint-imports
	$(DEV)/python -m training table --check

.PHONY: format
format: .venv/ready ## Format the code and mend what the linter can
	$(DEV)/ruff format .
	$(DEV)/ruff check --fix .

.PHONY: train
train: .venv/ready ## Train and export every bundled model (about 20 minutes on two cores)
	$(DEV)/python -m training all

.PHONY: table
table: .venv/ready ## Write README's table of families from the committed metrics
	$(DEV)/python -m training table

.PHONY: bench
bench: bench-peers ## Measure Seqserve and every peer side by side, write the report (about 30 minutes)
	$(DEV)/python -m benchmarks.families
	$(DEV)/python -m benchmarks.compare; status=$$?; $(DEV)/python -m benchmarks.report && exit $$status

.PHONY: bench-quick
bench-quick: .venv/ready ## A slice of bench: against plain FastAPI and a hand-written micro-batcher
	$(DEV)/python -m benchmarks.contestants.install fastapi microbatch
	$(DEV)/python -m benchmarks.compare --only limit closed --cases c64 --rounds 2 --seconds 2 \
		--contestants seqserve fastapi microbatch --results build/bench-quick
	$(DEV)/python -m benchmarks.report --results build/bench-quick \
		--picture build/bench-quick/throughput.svg

.PHONY: bench-peers
bench-peers: .venv/ready ## Install the peers that bench measures; one that can't be is left out
	-$(DEV)/python -m benchmarks.contestants.install

.PHONY: verify-load
verify-load: .venv/ready ## 60 s of concurrent mixed-length load, every answer checked
	$(DEV)/python -m benchmarks.verify_load

.PHONY: docker-test
docker-test: .venv/ready ## Build the image, run it beside Prometheus, predict, look, stop
	$(DEV)/python deploy/docker_test.py

.PHONY: lock
lock: ## Write constraints.txt anew from the newest releases that pyproject.toml allows
	./deploy/lock.sh
