# `make` lists the targets. Everything runs in .venv, which `make setup` creates from the lock files.
PYTHON ?= python3
STAGE ?= dev
PARAMETERS ?=
BUCKET ?=
STACK ?= slipway-$(STAGE)

VENV := .venv
BIN := $(VENV)/bin
# The name contains the version, so that another PYTHON creates the environment again.
READY := $(VENV)/ready-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
REQUIREMENTS := requirements.txt requirements-dev.txt
DIST := dist/$(STAGE)
SOURCES := app.py chalicelib statemachine infra local container tests

.DEFAULT_GOAL := help
.PHONY: help setup demo up down test test-full check sentences format package deploy token slack webhook-secret requirements clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## create .venv, or update it to the requirements

$(READY): $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Slipway needs Python 3.11 or later, but $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --root-user-action=ignore \
		$(foreach file,$(REQUIREMENTS),-r $(file))
	@touch $@

demo: $(READY) ## deploy the sample model to a local stack, call it, scale it, delete it
	@$(BIN)/python -m local demo

up: $(READY) ## start the local stack and keep it running
	@$(BIN)/python -m local up

down: ## stop the local stack
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m local down; else echo "No local stack is running."; fi

test: $(READY) ## run all tests, on all cores
	@$(BIN)/python -m pytest -n auto --dist loadscope

test-full: $(READY) ## run all tests with every case: fault matrix, schemathesis, property test (hours)
	@SLIPWAY_FULL_MATRIX=1 SLIPWAY_FULL_SCHEMATHESIS=1 SLIPWAY_PROPERTY_RUNS=1000 \
		$(MAKE) --no-print-directory test

check: $(READY) ## check format, lint, types, imports, template, state machine and texts
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/python -m infra.imports
	@$(BIN)/python -m infra.package --stage $(STAGE) --out $(DIST)
	@$(BIN)/python -m infra.lint $(DIST)/sam.json
	@$(BIN)/python -m infra.sentences --check

sentences: $(READY) ## list every text that a user can see, with file and line
	@$(BIN)/python -m infra.sentences

format: $(READY) ## format the code and sort the imports
	@$(BIN)/ruff check --quiet --select I --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

package: $(READY) ## write dist/STAGE/sam.json and deployment.zip; STAGE is any name such as staging
	@$(BIN)/python -m infra.package --stage $(STAGE) --out $(DIST)

deploy: ## deploy to AWS: make deploy STAGE=prod BUCKET=... [PARAMETERS="Key=Value ..."]
	@test -n "$(BUCKET)" || { echo "Set BUCKET to one of your S3 buckets, for the code: make deploy STAGE=$(STAGE) BUCKET=my-bucket" >&2; exit 1; }
	@command -v aws > /dev/null || { echo "Install the AWS CLI, which make deploy needs: https://aws.amazon.com/cli/" >&2; exit 1; }
	@$(MAKE) --no-print-directory package
	aws cloudformation package --template-file $(DIST)/sam.json --s3-bucket $(BUCKET) \
		--s3-prefix $(STACK) --use-json --output-template-file $(DIST)/packaged.json
	aws cloudformation deploy --template-file $(DIST)/packaged.json --stack-name $(STACK) \
		--s3-bucket $(BUCKET) --s3-prefix $(STACK) --capabilities CAPABILITY_IAM \
		--no-fail-on-empty-changeset $(if $(PARAMETERS),--parameter-overrides $(PARAMETERS))
	aws cloudformation describe-stacks --stack-name $(STACK) \
		--query 'Stacks[0].Outputs[].[OutputKey,OutputValue]' --output table

OWNER ?=
SCOPES ?= read,deploy
token: $(READY) ## create a token for a deployed stack: make token STAGE=prod OWNER=team-a [SCOPES=...]
	@test -n "$(OWNER)" || { echo "Set OWNER to the owner of the deployments: make token STAGE=$(STAGE) OWNER=team-a" >&2; exit 1; }
	@$(BIN)/python -m infra.token --stack $(STACK) --owner $(OWNER) --scopes $(SCOPES)

slack: $(READY) ## set the Slack secrets of a deployed stack: make slack STAGE=prod
	@$(BIN)/python -m infra.secrets --stack $(STACK) slack

RETIRE ?=
webhook-secret: $(READY) ## create or rotate the secret that signs webhooks: make webhook-secret STAGE=prod [RETIRE=yes]
	@$(BIN)/python -m infra.secrets --stack $(STACK) webhooks $(if $(RETIRE),--retire)

# The lock files are valid for Python 3.11 to 3.13.
UV := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-annotate --no-header
requirements: $(READY) ## compile the .in files to lock files
	@$(UV) $(UPGRADE) requirements.in -o requirements.txt
	@$(UV) $(UPGRADE) requirements-dev.in -o requirements-dev.txt

clean: down ## remove everything that make created
	@rm -rf $(VENV) .cache dist .chalice/deployments .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
