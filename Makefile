# Two commands do all the set-up: `make demo` and `make test`. `make quick` is the check between two changes.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV = $(shell command -v uv || echo $(VENV)-uv/bin/uv)
ARGS ?=
WORKERS ?= 2
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# Where it is set, every Python that is started compiles torch anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test quick docs lint types layers browser pins clean

demo: $(VENV)/.installed
	@$(BIN)/discovery demo $(ARGS)

test: $(VENV)/.installed browser lint types layers
	$(PYTEST) $(ARGS)

# All but the tests with a browser, a Ray cluster or kills, and those that take long.
quick: $(VENV)/.installed lint types layers
	$(PYTEST) -m "not (browser or ray or kill or slow)" $(ARGS)

# The site in site/, without a network; a link that leads nowhere is an error.
docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict $(ARGS)

lint: $(VENV)/.installed
	$(BIN)/ruff check discovery index training web tests docs

types: $(VENV)/.installed
	$(BIN)/mypy

layers: $(VENV)/.installed
	$(BIN)/lint-imports

# The environment: pinned by constraints.txt. uv is installed beside it when missing.
$(VENV)/.installed: pyproject.toml constraints.txt
	@command -v uv >/dev/null || { $(PYTHON) -m venv $(VENV)-uv && $(VENV)-uv/bin/pip install --quiet uv; }
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	@$(UV) pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[train,cluster,notebook,docs,test]'
	@touch $@

# Debian's chromium for the browser journeys, where apt-get is there; elsewhere those tests skip.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null && exit 0; \
	command -v apt-get >/dev/null || { echo "No chromium and no apt-get: the browser tests will skip."; exit 0; }; \
	if [ "$$(id -u)" = 0 ]; then as=; elif sudo -n true 2>/dev/null; then as="sudo -n"; \
	else echo "No chromium, and no right to install it: the browser tests will skip."; exit 0; fi; \
	$$as apt-get update -qq && $$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null \
	|| echo "chromium could not be installed: the browser tests will skip."

# Pin anew: the newest versions that pyproject.toml admits, without addresses.
pins:
	$(UV) pip compile pyproject.toml --extra train --extra cluster --extra compare --extra notebook --extra docs --extra test --universal --python-version 3.11 --upgrade --quiet --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links -o constraints.txt

clean:
	rm -rf $(VENV) $(VENV)-uv .mypy_cache .ruff_cache .pytest_cache .hypothesis site
