# `make` lists the targets. Everything runs in .venv, made here from the pinned requirements.
PYTHON ?= python3
STAGE ?= dev
PARAMETERS ?=
BUCKET ?=
STACK ?= slipway-$(STAGE)

VENV := .venv
BIN := $(VENV)/bin
# Its name says the version, so that another PYTHON makes the environment anew.
READY := $(VENV)/ready-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
REQUIREMENTS := requirements.txt requirements-dev.txt
DIST := dist/$(STAGE)
SOURCES := app.py chalicelib infra local container tests

.DEFAULT_GOAL := help
.PHONY: help setup demo up down test test-full check format package deploy token slack webhook-secret requirements clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv, or bring it up to the requirements

$(READY): $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Slipway needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --root-user-action=ignore \
		$(foreach file,$(REQUIREMENTS),-r $(file))
	@touch $@

demo: $(READY) ## deploy the sample model to a local stack, ask it, scale it, delete it
	@$(BIN)/python -m local demo

up: $(READY) ## start the local stack and leave it running
	@$(BIN)/python -m local up

down: ## end the local stack
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m local down; else echo "No local stack is running."; fi

test: $(READY) ## all tests, in as many processes as the cores bear
	@$(BIN)/python -m pytest -n auto --dist loadscope

test-full: $(READY) ## all tests, with every case of the fault matrix, schemathesis and the property test
	@SLIPWAY_FULL_MATRIX=1 SLIPWAY_FULL_SCHEMATHESIS=1 SLIPWAY_PROPERTY_RUNS=1000 \
		$(MAKE) --no-print-directory test

check: $(READY) ## formatter, linter, types, template and state machine
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/python -m infra.package --stage $(STAGE) --out $(DIST)
	@$(BIN)/python -m infra.lint $(DIST)/sam.json

format: $(READY) ## format the code and sort the imports
	@$(BIN)/ruff check --quiet --select I --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

package: $(READY) ## write dist/STAGE/sam.json and deployment.zip
	@$(BIN)/python -m infra.package --stage $(STAGE) --out $(DIST)

deploy: ## deploy to AWS: make deploy STAGE=prod BUCKET=... [PARAMETERS="Key=Value ..."]
	@test -n "$(BUCKET)" || { echo "Set BUCKET to an S3 bucket of yours for the code: make deploy STAGE=$(STAGE) BUCKET=my-bucket" >&2; exit 1; }
	@command -v aws > /dev/null || { echo "make deploy needs the AWS CLI: https://aws.amazon.com/cli/" >&2; exit 1; }
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
token: $(READY) ## make a token for a deployed stack: make token STAGE=prod OWNER=team-a [SCOPES=...]
	@test -n "$(OWNER)" || { echo "Set OWNER: make token STAGE=$(STAGE) OWNER=team-a" >&2; exit 1; }
	@$(BIN)/python -m infra.token --stack $(STACK) --owner $(OWNER) --scopes $(SCOPES)

slack: $(READY) ## set Slack's secrets of a deployed stack: make slack STAGE=prod
	@$(BIN)/python -m infra.secrets --stack $(STACK) slack

RETIRE ?=
webhook-secret: $(READY) ## make or rotate what webhooks are signed with: make webhook-secret STAGE=prod [RETIRE=yes]
	@$(BIN)/python -m infra.secrets --stack $(STACK) webhooks $(if $(RETIRE),--retire)

# One resolution holds for Python 3.11 to 3.13.
UV := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-annotate --no-header
requirements: $(READY) ## compile the .in files to pinned requirements
	@$(UV) $(UPGRADE) requirements.in -o requirements.txt
	@$(UV) $(UPGRADE) requirements-dev.in -o requirements-dev.txt

clean: down ## remove everything that make made
	@rm -rf $(VENV) .cache dist .chalice/deployments .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
