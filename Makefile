# One command each: `make test` and `make demo` set everything up in .venv on their first run and reuse it after.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
DEMO := runs/demo
SCRIPTS := $(wildcard tools/*.py datasets/*.py)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install test test-slow lint format demo clean

help: ## show these lines
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

install: $(INSTALLED) ## make .venv with resdet and its tools; again only when setup.py has changed

test: lint ## style, types and the default tests
	@$(RUN) -m pytest

test-slow: $(INSTALLED) ## the tests that take longer
	@$(RUN) -m pytest -m slow

lint: $(INSTALLED) ## style and types, without changing anything
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy resdet $(SCRIPTS)

format: $(INSTALLED) ## mend what ruff can mend
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

# `python -m` throughout: the scripts in .venv/bin name the folder they were made in and break when it is moved.
$(INSTALLED): setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "resdet needs Python >= 3.11, and '$(PYTHON)' is not one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(RUN) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing resdet and what it needs into $(VENV) (some minutes the first time)"
	@$(RUN) -m pip install -qq --disable-pip-version-check --editable '.[dev]'
	@touch $@

# The demo.  A step that finished leaves its mark and is not done again; a training that was cut off is resumed.
demo: $(DEMO)/loc/eval.json $(DEMO)/infer/.finished ## draw a data set, train, evaluate and run inference on it
	@cat $(DEMO)/loc/eval.txt
	@echo "weights, metrics and pictures are in $(DEMO)"

$(DEMO)/data/.finished: | $(INSTALLED)
	$(RUN) datasets/make_shapes.py --out $(DEMO)/data
	@touch $@

$(DEMO)/cls/.finished: | $(DEMO)/data/.finished
	$(RUN) tools/train_cls.py configs/cls/shapes.yaml --out $(@D) --resume
	@touch $@

$(DEMO)/loc/.finished: | $(DEMO)/cls/.finished
	$(RUN) tools/train_loc.py configs/loc/shapes.yaml model.backbone.weights=$(DEMO)/cls/best.pt --out $(@D) --resume
	@touch $@

$(DEMO)/loc/eval.json: $(DEMO)/loc/.finished
	$(RUN) tools/eval_loc.py --weights $(@D)/best.pt --data shapes:$(DEMO)/data:val --json $@ > $(@D)/eval.txt
	@touch $@

$(DEMO)/infer/.finished: $(DEMO)/loc/.finished
	$(RUN) tools/infer.py --weights $(DEMO)/loc/best.pt $(DEMO)/data/Data/CLS-LOC/val --out $(@D) --format jsonl,images --score-threshold 0.1
	@touch $@

clean: ## delete .venv, caches and build leftovers; runs/ stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find resdet tools tests datasets -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
