# The commands of this repository. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
AWS_VENV := .venv-aws
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Settings of whoever calls belong to another installation: everything here is told on the command line
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

# The system's own Python comes first: sandboxes run as a user of their own, who has to be able to read the interpreter
define FIND_PYTHON
for python in $(or $(PYTHON),/usr/bin/python3 python3 python3.13 python3.12 python3.11); do \
    if $$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
        echo $$python; exit; \
    fi; \
done; \
echo "Airlock needs Python 3.11 or newer with venv, and $(or $(PYTHON),what is on the PATH) is none" \
    "(Debian, Ubuntu: apt install python3 python3-venv)." >&2; \
exit 1
endef

.PHONY: help setup demo up test nightly test-roles check format science aws lambda cluster images install-cluster scanner bench lock clean

help:  ## List these commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

setup: $(VENV)/runtime.stamp  ## Make .venv with the airlock command, from hash-locked requirements

demo: setup  ## Start everything, run the examples, show how each fares, stop everything
	@$(BIN)/airlock demo

up: setup  ## Start everything and keep it running; writes .airlock/env
	@exec $(BIN)/airlock up

test: $(VENV)/dev.stamp  ## Run the everyday tests, and say which were not run: KUBECONFIG brings those of a cluster
	@$(BIN)/python -m pytest -q -rs -m "not slow" $(ARGS)

nightly: $(VENV)/dev.stamp  ## Run all tests, those that take minutes too
	@$(BIN)/python -m pytest -q -rs $(ARGS)

# The servers may be named by TEMPORAL_ADDRESS and TEST_POSTGRES_URL; otherwise those of the folder beside this one are used
test-roles: $(VENV)/dev.stamp  ## Run the pipeline and its faults on a real Temporal and Postgres, two processes of each role
	@if [ -z "$${TEMPORAL_ADDRESS:-}" ] || [ -z "$${TEST_POSTGRES_URL:-}" ]; then \
	    [ -x ../shared/temporal/up ] || { echo "TEMPORAL_ADDRESS and TEST_POSTGRES_URL name no servers" >&2; exit 1; }; \
	    named=$$(../shared/temporal/up | tail -1); eval "$$named"; \
	fi; \
	AIRLOCK_REQUIRE_POSTGRES=1 $(BIN)/python -m pytest -q -m roles $(ARGS)

check: $(VENV)/dev.stamp  ## Check style, types and the direction of imports
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format --check -q .
	@$(BIN)/pyright --pythonpath $(BIN)/python
	@$(BIN)/lint-imports

format: $(VENV)/dev.stamp  ## Bring the code into shape
	@$(BIN)/ruff check -q --fix .
	@$(BIN)/ruff format -q .

science: setup  ## Make the environment `science`: numpy, pandas and scikit-learn for scripts
	@$(BIN)/airlock environments make science --requirements requirements-science.lock

aws: $(AWS_VENV)/stamp  ## Make .venv-aws, by which the tests of AWS's doors meet a local SQS, AWS's own client and a linter

# For the Python of Lambda, whatever this machine's is; the catalogue is that of the workers
LAMBDA_PYTHON := 3.12
ENVIRONMENTS := .airlock/environments
lambda: setup  ## Build the function of deploy/lambda/template.yaml (LAMBDA_PYTHON=3.12, ENVIRONMENTS=directory)
	@ls $(ENVIRONMENTS)/*.json > /dev/null
	@rm -rf build/lambda && mkdir -p build/lambda/environments
	@$(PIP) install --require-hashes --only-binary :all: --python-version $(LAMBDA_PYTHON) --implementation cp \
	    --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --platform any \
	    --no-compile --target build/lambda -r requirements-lambda.lock
	@tar -c --exclude __pycache__ domain detection sandbox/__init__.py sandbox/port.py storage activities workflows api \
	    | tar -x -C build/lambda
	@cp $(ENVIRONMENTS)/*.json build/lambda/environments/
	@if python=$$(command -v python$(LAMBDA_PYTHON)); then \
	    $$python -m compileall -q -j 0 --invalidation-mode unchecked-hash build/lambda; \
	else \
	    echo "There is no python$(LAMBDA_PYTHON) here to compile the function: each cold start will do it." >&2; \
	fi

# A cluster of one's own for trying: kind, or else k3d. Both enforce NetworkPolicy
CLUSTER := airlock
cluster:  ## Make a small Kubernetes with kind or k3d, unless it is there
	@if command -v kind > /dev/null; then \
	    kind get clusters 2> /dev/null | grep -qx $(CLUSTER) \
	        || kind create cluster --name $(CLUSTER) --config deploy/kubernetes/kind.yaml; \
	elif command -v k3d > /dev/null; then \
	    k3d cluster get $(CLUSTER) > /dev/null 2>&1 \
	        || k3d cluster create $(CLUSTER) --wait --k3s-arg '--kubelet-arg=pod-max-pids=256@server:*' \
	            --k3s-arg '--kubelet-arg=seccomp-default=true@server:*' \
	            --k3s-arg '--kubelet-arg=container-log-max-size=32Mi@server:*'; \
	else \
	    echo "make cluster needs kind or k3d (and an engine for containers), and neither is on the PATH." >&2; exit 1; \
	fi

images: setup  ## Build the image of each environment, and load it onto the nodes of `make cluster`
	@options=(); \
	if command -v kind > /dev/null; then nodes=$$(kind get nodes --name $(CLUSTER) 2> /dev/null); \
	elif command -v k3d > /dev/null; then nodes=$$(k3d node list --no-headers | awk '$$2 != "loadbalancer" && $$3 == "$(CLUSTER)" {print $$1}'); fi; \
	for node in $${nodes:-}; do options+=(--node "docker exec --interactive $$node ctr --namespace k8s.io"); done; \
	$(BIN)/airlock environments image $(NAMES) "$${options[@]}" $(ARGS)

install-cluster: setup  ## Put Airlock's objects on the cluster that kubectl speaks to; ARGS: the options of the command
	@$(BIN)/airlock admin install-cluster $(ARGS)

scanner: setup  ## Install the scanner that the tests of what deploys use, apart from everything else
	@[ -x $(VENV)/scanner/bin/python ] || $(BIN)/python -m venv $(VENV)/scanner
	@$(VENV)/scanner/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --only-binary :all: \
	    -r requirements-scanner.lock

bench: $(VENV)/dev.stamp  ## Measure, and print the method beside each figure
	@for script in bench/[a-z]*.py; do $(BIN)/python "$$script"; done

lock: setup  ## Resolve all requirements again
	@$(PIP) install --target $(VENV)/lock-tool --upgrade uv
	@compile() { $(VENV)/lock-tool/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade \
	    --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$$@"; }; \
	echo 'setuptools>=77' | compile pyproject.toml - -o requirements.lock; \
	compile pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock; \
	compile requirements-science.in -o requirements-science.lock; \
	compile requirements-aws.in -o requirements-aws.lock; \
	compile deploy/lambda/requirements.in -c requirements.lock -o requirements-lambda.lock

clean:  ## Remove what these commands have made
	@rm -rf $(VENV) $(AWS_VENV) .airlock build/lambda .ruff_cache .import_linter_cache .hypothesis

$(VENV)/runtime.stamp: requirements.lock pyproject.toml
	@[ -w . ] || { echo "This directory cannot be written, and $(VENV) belongs into it: clone into one of your own." >&2; exit 1; }
	@python=$$($(FIND_PYTHON)); \
	[ -x $(BIN)/python ] || $$python -m venv $(VENV)
	@echo "Installing requirements.lock into $(VENV): some 300 MB, a minute or so ..." >&2
	@$(PIP) install --require-hashes --only-binary :all: -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/runtime.stamp requirements-dev.lock
	@echo "Installing requirements-dev.lock into $(VENV) ..." >&2
	@$(PIP) install --require-hashes --only-binary :all: -r requirements-dev.lock
	@touch $@

$(AWS_VENV)/stamp: requirements-aws.lock
	@python=$$($(FIND_PYTHON)); \
	[ -x $(AWS_VENV)/bin/python ] || $$python -m venv $(AWS_VENV)
	@$(AWS_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --only-binary :all: -r requirements-aws.lock
	@touch $@
