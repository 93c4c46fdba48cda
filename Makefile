# Every command of Holdfast. `make` lists them; each installs what it needs into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The locks are complete: nothing is resolved, so no release of tomorrow can break an install.
PIP := $(BIN)/python -m pip --disable-pip-version-check
define install
	$(PIP) install --quiet --require-hashes --no-deps --only-binary :all: -r $(1)
	@$(PIP) check
	@touch $@
endef

.DEFAULT_GOAL := help
.PHONY: help run test test-services schemathesis clients stack stack-down stack-test stack-swarm backup restore lint lint-stack dashboards format lock
.PHONY: drill bench bench-endpoints bench-compare bench-lists bench-kills bench-endurance bench-growth bench-import load explain

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

run: $(VENV)/runtime ## serve on http://localhost:8000 with SQLite and sample data (APP_PORT=8001 for another port)
	@mkdir -p var/metrics
	@AUTO_SEED=$${AUTO_SEED-true} PROMETHEUS_MULTIPROC_DIR=$${PROMETHEUS_MULTIPROC_DIR-var/metrics} $(BIN)/python run.py

test: $(VENV)/development ## the whole suite on SQLite, with no service
	$(BIN)/python -m pytest -n 2 -m "not services"

test-services: $(VENV)/development ## the same suite, and what needs them, on a real PostgreSQL and Redis that it starts and stops
	$(BIN)/python -m testkit.with_services $(BIN)/python -m pytest $(if $(TEST_DATABASE_URL)$(TEST_REDIS_URL),,-n 2) -m "services or not services" --cov --cov-report=term:skip-covered --cov-fail-under=95

stack: ## bring the whole stack up in containers: three replicas behind Nginx, watched (needs Docker with Compose)
	docker compose up --build -d --wait
	@docker compose ps --format 'table {{.Service}}\t{{.Status}}\t{{.Ports}}'

stack-down: ## stop the containers; their data stay
	docker compose down

stack-test: $(VENV)/development ## check every promise about the stack in containers of its own, alerts and faults included
	$(BIN)/python -m tests.stack.run

stack-swarm: $(VENV)/development ## the same for Swarm: killed tasks, rolling updates, rollback, scaling (docker swarm init first)
	$(BIN)/python -m tests.stack.swarm

drill: $(VENV)/development ## break one thing at a time under load, and see what becomes of every request and click (NAMES="redis-full" for some, SHORT=1 for CI's)
	$(BIN)/python -m tests.drills.run $(if $(SHORT),--short) $(NAMES)

backup: ## write the stack's database into FILE (var/backups/holdfast-DATE.dump), while everything goes on
	deploy/backup.sh $(FILE)

restore: ## load FILE into the stack's database, which must be empty, and start everything on it
	deploy/restore.sh $(FILE)

lint: $(VENV)/development ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lint-stack: $(VENV)/development ## Dockerfile, Compose, Nginx, Prometheus, Alertmanager, workflows and shell scripts (needs nginx, prometheus, prometheus-alertmanager)
	PATH="$(CURDIR)/$(BIN):$$PATH" deploy/lint.sh

dashboards: $(VENV)/development ## write monitoring/grafana/dashboards anew from monitoring/grafana/build.py
	$(BIN)/python -m monitoring.grafana.build

format: $(VENV)/development ## put the code into the house's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemathesis: $(VENV)/development ## thousands of generated requests against the running service, on both backends
	$(BIN)/python -m tests.run_schemathesis
	$(BIN)/python -m testkit.with_services $(BIN)/python -m tests.run_schemathesis

clients: $(VENV)/clients var/clients/node_modules ## lint the OpenAPI document, make three clients from it, and use them against a running service (needs Node 18.18 or newer, and npm)
	$(BIN)/python -m tests.clients.run

bench: $(VENV)/development ## CPU time of a redirect beside constant answers of the same servers (needs postgresql, redis-server, nginx, wrk)
	$(BIN)/python -m benchmarks.redirects

bench-endpoints: $(VENV)/development ## CPU time and round trips of every endpoint, part by part, beside plain Flask answering the same bytes (ONLY=/urls for some)
	$(BIN)/python -m benchmarks.endpoints

bench-compare: $(VENV)/development ## CPU time of every endpoint in OLD=<commit> and in this tree, in turn (ROUNDS=5, ONLY=/urls for some)
	$(BIN)/python -m benchmarks.compare $(OLD)

bench-lists: $(VENV)/development ## CPU time of the lists beside plain Flask answering the same bytes
	$(BIN)/python -m benchmarks.lists

bench-kills: $(VENV)/development ## kill -9 of each part in the middle of 20,000 redirects, RUNS=20 times each, and what became of every click
	$(BIN)/python -m benchmarks.kills

bench-endurance: $(VENV)/development ## redirects at full speed for MINUTES=60, and the memory of each part meanwhile
	$(BIN)/python -m benchmarks.endurance

bench-growth: $(VENV)/development ## the same requests on 10,000 and on LINKS=10000000 links
	$(BIN)/python -m benchmarks.growth

bench-import: $(VENV)/development ## rows per second of both imports beside plain COPY, on a real PostgreSQL
	$(BIN)/python -m testkit.with_services $(BIN)/python -m benchmarks.imports

load: $(VENV)/load ## Locust's users against the service, TIER=bronze, silver, gold or reference (BASE_URL=http://... for one that runs already; TROUBLE=busy,stops for a busy machine)
	$(BIN)/python -m loadtests.run $(or $(TIER),bronze)

explain: $(VENV)/development ## the plan of every list, redirect and stats query on a million rows of PostgreSQL
	$(BIN)/python -m testkit.with_services $(BIN)/python -m benchmarks.explain

lock: ## pin the newest packages that pyproject.toml and tests/clients/package.json allow, without any address (needs uv and npm)
	uv pip compile -q --upgrade --generate-hashes --universal --no-header --no-annotate --python-version 3.11 pyproject.toml -o requirements.lock
	uv pip compile -q --upgrade --generate-hashes --universal --no-header --no-annotate --python-version 3.11 --extra dev pyproject.toml -o requirements-dev.lock
	uv pip compile -q --upgrade --generate-hashes --universal --no-header --no-annotate --python-version 3.11 --extra load -c requirements-dev.lock pyproject.toml -o requirements-load.lock
	uv pip compile -q --upgrade --generate-hashes --universal --no-header --no-annotate --python-version 3.11 --extra clients -c requirements-dev.lock pyproject.toml -o requirements-clients.lock
	cd tests/clients && npm install --package-lock-only --ignore-scripts
	node -e 'const fs = require("fs"), f = "tests/clients/package-lock.json", lock = JSON.parse(fs.readFileSync(f)); for (const p of Object.values(lock.packages)) delete p.funding; fs.writeFileSync(f, JSON.stringify(lock, null, 2) + "\n")'

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/runtime: requirements.lock | $(VENV)/bin/python
	$(call install,requirements.lock)

$(VENV)/development: requirements-dev.lock | $(VENV)/bin/python
	$(call install,requirements-dev.lock)

$(VENV)/load: requirements-load.lock | $(VENV)/bin/python
	$(call install,requirements-load.lock)

$(VENV)/clients: requirements-clients.lock | $(VENV)/bin/python
	$(call install,requirements-clients.lock)

# npm works in var/clients, so that the tree stays clean.
var/clients/node_modules: tests/clients/package-lock.json
	@mkdir -p var/clients
	cp tests/clients/package.json tests/clients/package-lock.json tests/clients/.npmrc var/clients
	cd var/clients && npm ci --ignore-scripts --loglevel=error
	@touch $@
