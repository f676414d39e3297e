# Everything runs in .venv, which is made from requirements.lock when it is needed.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

BIN := .venv/bin
INSTALLED := .venv/.installed
KAFKA_JARS := build/kafka/lib
KAFKA_COPIED := build/kafka/.copied
DEBEZIUM_JARS := build/debezium/lib
DEBEZIUM_COPIED := build/debezium/.copied
REGISTRY := build/registry
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# run side by side, and beside the other tests: they wait for other programs, each at another time
GROUPS_BESIDE := recovery integration upstream properties

.PHONY: help setup demo test lint format types kafka debezium bench lock dictionary check-compose clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED)  ## Make .venv from the lock file; needs Python 3.11 or 3.12

$(INSTALLED): requirements.lock pyproject.toml
	@if ! $(BIN)/python -c '' 2>/dev/null; then \
	  for python in python3.11 python3.12 python3; do \
	    if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; then found=$$python; break; fi; \
	  done; \
	  [ -n "$${found:-}" ] || { echo "make: expected Python 3.11 or 3.12 as python3.11, python3.12 or python3, found none: install one" >&2; exit 1; }; \
	  $$found -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $$found cannot make environments: install its venv package, such as python3-venv" >&2; exit 1; }; \
	  rm -rf .venv; $$found -m venv .venv; \
	fi
	@echo "installing requirements.lock into .venv (a few minutes the first time)"
	@$(PIP) install --require-hashes -r requirements.lock
	@PYTHONWARNINGS=ignore $(PIP) install --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m flows.warm
	@touch $@

demo: setup  ## Run the fault notifications on a made-up telco, with a broker of its own
	@$(BIN)/signalbox demo

test: lint types  ## Lint, check types, run every test (those on real systems after `make kafka debezium`)
	@mkdir -p build; chosen=''; left_out=(); \
	leave_out() { chosen+="$${chosen:+ and }not $$1"; left_out+=("$$2"); }; \
	compgen -G '$(KAFKA_JARS)/kafka_2.13-*.jar' >/dev/null || \
	  leave_out kafka 'tests on Apache Kafka and a schema registry were left out: install Java 17 and Maven, then run make kafka'; \
	{ compgen -G '$(KAFKA_JARS)/kafka_2.13-*.jar' && compgen -G '$(DEBEZIUM_JARS)/debezium-connector-postgres-*.jar' && \
	  compgen -G '/usr/lib/postgresql/*/bin/initdb'; } >/dev/null || \
	  leave_out debezium 'tests on Debezium were left out: install Java 17, Maven and PostgreSQL, then run make kafka debezium'; \
	groups=(); \
	for group in $(GROUPS_BESIDE); do \
	  { $(BIN)/pytest -m "$$chosen" tests/$$group || [ $$? -eq 5 ]; } >build/test-$$group.log 2>&1 & groups+=($$!); \
	done; \
	status=0; $(BIN)/pytest -m "$$chosen" $(GROUPS_BESIDE:%=--ignore tests/%) || status=$$?; \
	for group in "$${groups[@]}"; do wait $$group || status=$$?; done; \
	cat $(GROUPS_BESIDE:%=build/test-%.log); \
	[ $${#left_out[@]} -eq 0 ] || printf '%s\n' "$${left_out[@]}"; \
	exit $$status

lint: setup  ## Check style with ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: setup  ## Put the code into our format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: setup  ## Check types with mypy
	@$(BIN)/mypy

kafka: $(KAFKA_COPIED)  ## Fetch Apache Kafka and a schema registry for tests; needs Maven and Java 17

$(KAFKA_COPIED): deploy/kafka/pom.xml deploy/kafka/jars.sha256
	@command -v mvn >/dev/null || { echo "make: expected Maven, found no mvn: install maven and a Java 17 runtime" >&2; exit 1; }
	@rm -rf $(KAFKA_JARS) $(REGISTRY) $(KAFKA_JARS).new
	@mvn -q -B -Dstyle.color=never -f deploy/kafka/pom.xml dependency:copy-dependencies dependency:copy@registry \
	  -DincludeScope=runtime -DoutputDirectory='$(CURDIR)/$(KAFKA_JARS).new'
	@cd $(KAFKA_JARS).new && sha256sum --quiet --strict --check '$(CURDIR)/deploy/kafka/jars.sha256'
	@mkdir -p $(REGISTRY) && tar -xzf $(KAFKA_JARS).new/registry.tar.gz -C $(REGISTRY) && rm $(KAFKA_JARS).new/registry.tar.gz
	@mv $(KAFKA_JARS).new $(KAFKA_JARS)
	@touch $@

debezium: $(DEBEZIUM_COPIED)  ## Fetch Debezium and Kafka Connect for tests; needs Maven, Java 17 and PostgreSQL
	@compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || \
	  { echo "make: expected PostgreSQL in /usr/lib/postgresql, found none: install postgresql" >&2; exit 1; }

$(DEBEZIUM_COPIED): deploy/debezium/pom.xml deploy/debezium/jars.sha256
	@command -v mvn >/dev/null || { echo "make: expected Maven, found no mvn: install maven and a Java 17 runtime" >&2; exit 1; }
	@rm -rf $(DEBEZIUM_JARS) $(DEBEZIUM_JARS).new
	@mvn -q -B -Dstyle.color=never -f deploy/debezium/pom.xml dependency:copy-dependencies \
	  -DincludeScope=runtime -DoutputDirectory='$(CURDIR)/$(DEBEZIUM_JARS).new'
	@cd $(DEBEZIUM_JARS).new && sha256sum --quiet --strict --check '$(CURDIR)/deploy/debezium/jars.sha256'
	@mv $(DEBEZIUM_JARS).new $(DEBEZIUM_JARS)
	@touch $@

bench: setup kafka  ## Measure what decoding and tokens cost, and how fast everybody is told (about five minutes)
	@$(BIN)/python -m benchmarks.decode
	@$(BIN)/python -m benchmarks.formats
	@$(BIN)/python -m benchmarks.tokens
	@$(BIN)/python -m benchmarks.fault_fanout

lock: setup  ## Resolve pyproject.toml anew, keeping locked versions where they still fit
	@$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-index-url \
	  --no-emit-trusted-host --no-emit-find-links --no-emit-options --extra dev -o requirements.lock pyproject.toml

dictionary: setup  ## Write docs/data-dictionary.md from the contracts
	@$(BIN)/python -m schemas.dictionary > docs/data-dictionary.md.new
	@mv docs/data-dictionary.md.new docs/data-dictionary.md

check-compose: setup  ## Check docker-compose.yml against the Compose specification
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

clean:  ## Remove what was built and cached; keeps .venv and data
	@rm -rf build/lib build/bdist.* build/kafka build/debezium $(REGISTRY) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find flows connectors schemas privacy benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} +
