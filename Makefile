# Kargah. `make demo` shows the main job, `make test` proves it; both set up what they need.
SHELL := /bin/bash
PYTHON := .venv/bin/python
ARGS ?=

.PHONY: help setup setup-test demo serve test coverage check bench shots crash chaos soak lock clean hostile fuzz downloads recipes

help:
	@echo "make demo            a real data file becomes a trained, served model; the page stays open"
	@echo "make test            all tests"
	@echo "make coverage        all tests, and how much of the code they go through; fails below 70 %"
	@echo "make serve           the product, on http://127.0.0.1:8420"
	@echo "make check           lint, types, floors, dependency audit"
	@echo "make chaos           hundreds of random kills over real trainings, on SQLite and PostgreSQL"
	@echo "make soak            ten minutes of a page in a background tab, its server and browser away for a while"
	@echo "make hostile         102 nasty files over HTTP: each read or refused as it should be"
	@echo "make recipes         every recipe, tiny: trained, resumed bit by bit, asked, loaded in bare transformers"
	@echo "make fuzz            ten minutes of damaged files of every format through the import"
	@echo "make downloads       downloads from a second Kargah over a link that is cut, slowed and spoiled, killed at fifty points"
	@echo "make bench           all benchmarks        make shots   screenshots of the pages"

setup:
	@scripts/setup.sh run

setup-test:
	@scripts/setup.sh test

demo: setup
	@$(PYTHON) -m kargah demo $(ARGS)

serve: setup
	@$(PYTHON) -m kargah serve $(ARGS)

test: setup-test
	@scripts/test.sh $(ARGS)

coverage: setup-test
	@scripts/test.sh --coverage

check: setup-test
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports
	@scripts/audit.sh

bench: setup-test
	@set -e; for script in $$(ls benchmarks/*.py | grep -v "/form.py\|/peers.py"); do $(PYTHON) $$script $(ARGS); done

shots: setup-test
	@$(PYTHON) scripts/shots.py $(ARGS)

crash: setup-test
	@$(PYTHON) -m pytest tests/crash -m "" $(ARGS)

chaos: setup-test
	@$(PYTHON) scripts/chaos.py $(ARGS)

hostile: setup
	@$(PYTHON) scripts/hostile.py $(ARGS)

recipes: setup-test
	@$(PYTHON) scripts/recipes.py $(ARGS)

fuzz: setup
	@$(PYTHON) scripts/fuzz.py $(ARGS)

downloads: setup-test
	@$(PYTHON) scripts/downloads.py $(ARGS)

soak: setup-test
	@$(PYTHON) scripts/soak.py $(ARGS)

lock: setup
	@$(PYTHON) scripts/lock.py

clean:
	rm -rf .venv var .pytest_cache .mypy_cache .ruff_cache .coverage* dist
