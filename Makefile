# Set-up and daily work. Everything goes into .venv; `rm -rf .venv` starts afresh.
# PYTHON chooses the interpreter, PORT and ADDRESS where the app listens, ARGS go to pytest and
# the benchmarks: make test ARGS="-k search -x"

PYTHON ?= python3
PORT ?= 8501
ADDRESS ?= 127.0.0.1
SERVER_PORT ?= 19530
ARGS ?=
# Watching the files of every imported package makes the first page half a second later.
# While editing pages: make demo WATCH=auto
WATCH ?= none
# Many tests wait more than they compute. Groups are made and ordered in tests/conftest.py.
SIDE_BY_SIDE := --numprocesses 3 --no-loadscope-reorder

VENV := .venv
RUN := $(VENV)/bin/python -m
INSTALL := $(RUN) pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo check test server lint format bench setup

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-14s%s\n", $$1, $$2}'

demo: $(VENV)/.app ## run the app on an embedded Milvus Lite, http://127.0.0.1:8501
	@mkdir -p data
	@$(RUN) streamlit run app.py --server.port $(PORT) --server.address $(ADDRESS) \
		--server.fileWatcherType $(WATCH)

server: $(VENV)/.server ## run a real Milvus server on port 19530, data in data/server
	@$(RUN) scripts.milvus_server --data data/server --port $(SERVER_PORT)

check: lint ## lint, types and the quick tests, which need no server and no browser: for daily work
	@$(RUN) pytest $(SIDE_BY_SIDE) -m "not server and not browser and not slow" $(ARGS)

# What the clock judges comes last, with nothing beside it. 5: none was chosen there.
test: $(VENV)/.dev $(VENV)/.server ## install what the tests need and run them all
	@failed=0; \
	$(RUN) pytest $(SIDE_BY_SIDE) -m "not alone" $(ARGS) || [ $$? -eq 5 ] || failed=1; \
	$(RUN) pytest -m alone $(ARGS) || [ $$? -eq 5 ] || failed=1; \
	exit $$failed

lint: $(VENV)/.dev ## check style, format and types, as CI does
	@$(RUN) ruff check
	@$(RUN) ruff format --check
	@$(RUN) mypy
	@$(VENV)/bin/lint-imports

format: $(VENV)/.dev ## put the code into its format
	@$(RUN) ruff check --fix
	@$(RUN) ruff format

bench: $(VENV)/.dev $(VENV)/.server ## run the benchmarks, each beside its baseline
	@for file in benchmarks/[!_]*.py; do \
		name=$$(basename $$file .py); \
		echo "== $$name"; \
		$(RUN) benchmarks.$$name $(ARGS) || exit 1; \
	done

setup: $(VENV)/.dev $(VENV)/.server ## install everything and run nothing
	@:

# The stamps are newer than the requirements they stand for, or pip runs again.
$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; make PYTHON=python3.12 chooses one.")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.app: requirements.txt constraints.txt | $(VENV)/bin/pip
	@echo "Installing the app into $(VENV) (once) ..."
	@$(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt requirements.txt constraints.txt | $(VENV)/bin/pip
	@echo "Installing the app and its tools into $(VENV) (once) ..."
	@$(INSTALL) -r requirements-dev.txt
	@touch $@ $(VENV)/.app

$(VENV)/.server: requirements.txt requirements-server.txt constraints.txt | $(VENV)/bin/pip
	@echo "Installing the Milvus server into $(VENV) (once) ..."
	@$(INSTALL) -r requirements.txt -r requirements-server.txt
	@touch $@
