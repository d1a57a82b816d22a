# Every target sets up what it needs first; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help up test check e2e faults reliability model bench bench-pages bench-live bench-engine lock

PYTHON_BIN := .venv/bin/python
# Throwaway PostgreSQL and Valkey, unless DATABASE_URL and REDIS_URL point at real ones.
ON_ENGINES := $(PYTHON_BIN) -m ilert.embedded run --
# More for pytest: make test ARGS="-k sematext -x"
ARGS ?=

help: ## List the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | while IFS='	' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

up: ## Run everything here; prints the address, Ctrl-C stops it (PORT=8001 make up for another port)
	@bin/setup runtime && exec $(PYTHON_BIN) manage.py up

test: ## Run the tests on PostgreSQL and Valkey of their own, two at a time (ARGS="-n0 …" for one)
	@bin/setup dev && exec $(ON_ENGINES) .venv/bin/pytest -n 2 --dist loadgroup $(ARGS)

check: ## Format, lint, types, import contract, templates, migrations, deployment checks
	@bin/setup dev && exec $(ON_ENGINES) bin/check

e2e: ## Run the browser tests in real Chromium, two files at a time
	@bin/setup dev && exec $(ON_ENGINES) .venv/bin/pytest tests/e2e -m e2e -n 2 --dist loadfile $(ARGS)

faults: ## Kill real processes and see what is left
	@bin/setup dev && exec bin/faults $(ARGS)

reliability: ## The full fault harness: 40 minutes, figures into docs/reliability/
	@bin/setup dev && bin/reliability

bench: ## Hold the front door against PostgreSQL itself (ARGS=--quick for a short one)
	@bin/setup dev && exec $(PYTHON_BIN) -m benchmarks $(ARGS)

bench-pages: ## Measure lists, searches and details (ARGS="--incidents 1000000 --events 5000000")
	@bin/setup dev && exec $(PYTHON_BIN) -m benchmarks.pages $(ARGS)

bench-live: ## How soon 200 open lists show what comes at 50/s, and what that costs
	@bin/setup dev && exec $(PYTHON_BIN) -m benchmarks.open_pages $(ARGS)

bench-engine: ## Take 10 000 steps that fall due in the same second, with a million incidents stored
	@bin/setup dev && exec $(PYTHON_BIN) -m benchmarks.engine $(ARGS)

model: ## The product against its model and the API against its document, at length (MODEL_EXAMPLES, SCHEMA_EXAMPLES)
	@bin/setup dev && exec $(ON_ENGINES) .venv/bin/pytest tests/model tests/rest/test_schema.py -m model $(ARGS)

lock: ## Write requirements/*.txt anew from requirements/*.in
	@bin/setup dev && .venv/bin/pip install --quiet --disable-pip-version-check uv
	@for name in base dev; do \
		.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
			requirements/$$name.in -o requirements/$$name.txt || exit 1; \
	done
