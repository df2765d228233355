SHELL := /bin/bash
PYTHON ?= python3
DEV := .venv/bin
RUN := .venv-serve/bin
# constraints.txt for what is installed, and for what builds `service.native` too
PIP_ENV := env PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
	PIP_DISABLE_PIP_VERSION_CHECK=1
NATIVE := setup.py $(shell find native)
CPP := $(filter %.cpp %.hpp,$(NATIVE))

.DEFAULT_GOAL := help
export ORT_DISABLE_TELEMETRY := 1

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Two environments: what serves never sees torch. Both build `service.native` in its place in
# service/, so both do it anew when native/ is changed.
.venv-serve/ready: constraints.txt pyproject.toml $(NATIVE)
	@echo "setting up $(@D), once: installs packages (about 200 MB on disk) and compiles" \
		"service.native, which takes one to three minutes"
	./deploy/toolchain.sh $(PYTHON)
	$(PYTHON) -m venv .venv-serve
	$(PIP_ENV) $(RUN)/pip install --quiet -e .
	@touch $@

# Ray pins much of what it needs, so it has an environment of its own.
.venv-ray/ready: constraints.txt pyproject.toml $(NATIVE)
	./deploy/toolchain.sh $(PYTHON)
	$(PYTHON) -m venv .venv-ray
	$(PIP_ENV) .venv-ray/bin/pip install --quiet -e '.[ray]'
	@touch $@

.venv/ready: constraints.txt pyproject.toml $(NATIVE)
	@echo "setting up $(@D), once: installs packages (2.3 GB on disk with torch for CPUs, gigabytes" \
		"more with its default build: see README) and compiles service.native: three to ten minutes"
	./deploy/toolchain.sh $(PYTHON)
	$(PYTHON) -m venv .venv
	$(PIP_ENV) $(DEV)/pip install --quiet -e '.[train,dev]'
	@touch $@

.PHONY: serve
serve: .venv-serve/ready ## Set up (without torch) and serve the bundled models on 127.0.0.1:8000
	exec $(RUN)/python -m service

.PHONY: test
test: check ## Run every check and test
	./deploy/debian_package.sh prometheus prometheus promtool
	./deploy/debian_package.sh chromium chromium
	$(DEV)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: test-deep
test-deep: .venv/ready ## The tests that are too long for `make test`
	$(DEV)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m deep

.PHONY: check
check: .venv/ready ## Format, lint, types, import contracts, README's tables, rules
	$(DEV)/ruff format --check .
	$(DEV)/ruff check .
	$(DEV)/clang-format --dry-run --Werror $(CPP)
	$(DEV)/mypy
	$(DEV)/lint-imports
	$(DEV)/python -m training table --check
	$(DEV)/python deploy/prometheus_rule.py --check

.PHONY: format
format: .venv/ready ## Format the code and mend what the linter can
	$(DEV)/ruff format .
	$(DEV)/ruff check --fix .
	$(DEV)/clang-format -i $(CPP)

.PHONY: fuzz
fuzz: .venv/ready ## Fuzz the decoders for ten minutes, and the server by its own OpenAPI document
	mkdir -p build/fuzz
	$(DEV)/python -m tests.fuzz.decoders build/fuzz -max_total_time=600 -max_len=4096
	SEQSERVE_FUZZ_CASES=20000 $(DEV)/python -m pytest tests/protocol/test_openapi.py

.PHONY: sanitize
sanitize: .venv/ready ## Tests of the native part under ASan and UBSan, then under TSan (about 10 minutes)
	./deploy/sanitize.sh address tests/native tests/engine tests/schedulers tests/http \
		tests/lifecycle/test_draining.py
	./deploy/sanitize.sh thread tests/native tests/engine tests/schedulers \
		tests/http/test_lane.py tests/http/test_plans.py tests/http/test_right_answers.py \
		tests/lifecycle/test_draining.py

.PHONY: train
train: .venv/ready ## Train and export every bundled model by its recipe, or BUNDLE=name alone
	$(DEV)/python -m training bundles $(BUNDLE)

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

.PHONY: chaos
chaos: .venv/ready ## Faults under load: workers killed, disks full, graphs that hang, … (a few minutes)
	$(DEV)/python -m chaos

.PHONY: soak
soak: .venv/ready ## All tasks at once for SOAK_S seconds (300): does memory grow, or handles?
	$(DEV)/python -m chaos.soak --seconds $(or $(SOAK_S),300)

.PHONY: docker-test
docker-test: .venv/ready ## Build the image, run it beside Prometheus, predict, look, stop
	$(DEV)/python deploy/docker_test.py

.PHONY: ray-test
ray-test: .venv-ray/ready ## Scale, lose a node and roll out on a Ray cluster of four nodes, under load
	.venv-ray/bin/python deploy/ray_test.py

.PHONY: rules
rules: .venv/ready ## Write the Prometheus operator's resources of deploy/prometheus/rules
	$(DEV)/python deploy/prometheus_rule.py

.PHONY: capacity
capacity: .venv/ready ## Measure costs and waiting, write the tables of docs/scaling.md (6 minutes)
	$(DEV)/python -m benchmarks.capacity

.PHONY: monitoring-test
monitoring-test: .venv/ready ## Every query of the dashboard, and alerts that fire and clear, on a real Prometheus
	./deploy/debian_package.sh prometheus prometheus promtool
	$(DEV)/python -m pytest tests/monitoring/on_prometheus.py

.PHONY: security
security: .venv/ready ## Every test of security: TLS, thousands of half-open clients, memory (2 minutes)
	SEQSERVE_STORM=4000 $(DEV)/python -m pytest tests/security

.PHONY: audit
audit: .venv/ready ## Hold every pinned package against the known vulnerabilities
	./deploy/audit.sh

.PHONY: release
release: .venv/ready ## Audit, then the wheel and a bill of materials (CycloneDX) in build/release
	./deploy/release.sh

.PHONY: lock
lock: ## Pin the newest releases that pyproject.toml allows, with hashes, and list their licences
	./deploy/lock.sh
