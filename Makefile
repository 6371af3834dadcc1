# make results | test | quick | lab | workshop | book | axe | clean | install | lock | help
#
# One environment, .venv, with the exact versions of requirements.lock; installed once, and again when they change.

VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/installed
BROWSER := $(VENV)/browser
SPHINX  := $(VENV)/sphinx
AXE     := $(VENV)/axe/package/axe.min.js
ARGS    ?=
# Threads that wait by spinning slow everything down thirtyfold beside another busy process.
export OMP_WAIT_POLICY ?= PASSIVE
SUPPORTED = import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))
# A name that is on the PATH need not run (pyenv), so each is tried.
PYTHON  ?= $(shell for p in python3.11 python3.12 python3 python; do \
	$$p -c '$(SUPPORTED)' >/dev/null 2>&1 && echo $$p && break; done)

.PHONY: results test quick lab workshop book axe install lock clean help
.DEFAULT_GOAL := help

help:  ## say what there is
	@awk -F ":.*## " '/^[a-z]*:.*## / {printf "  make %-11s%s\n", $$1, $$2}' Makefile

results: $(STAMP)  ## install, train, execute every notebook, write every table (ARGS="--preset smoke --only 01")
	$(BIN)/python run_all.py $(ARGS)

test: $(STAMP) $(BROWSER)  ## install and run the tests (ARGS="-k mixit")
	$(BIN)/ruff check
	$(BIN)/python run_all.py --check
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

quick: $(STAMP)  ## run the tests of the first minute
	$(BIN)/ruff check
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

lab: $(STAMP)  ## install and open JupyterLab
	$(BIN)/jupyter lab notebooks/

workshop: $(STAMP)  ## write copies of the notebooks for students and teachers into workshop/
	$(BIN)/python -m weaklib.workshop

book: $(SPHINX)  ## build the book in book/_build/html: notebooks, results, datasheets, API
	rm -rf book/api
	$(BIN)/python -m sphinx -q -c book -d book/_build/doctrees . book/_build/html $(ARGS)

axe: $(BROWSER) $(AXE)  ## look for barriers in the widgets and, if it is built, the book (needs npm and a network)
	$(BIN)/python tests/widgets/axe.py $(AXE) $(wildcard book/_build/html/*.html \
	  book/_build/html/results/*/notebooks/*.html book/_build/html/results/full/*/table1.html)

install: $(STAMP)  ## install into .venv

clean:  ## forget .venv, everything rendered and trained, and this machine's tables
	rm -rf $(VENV) .weaklib results/local book/api book/_build

$(STAMP): requirements.lock pyproject.toml
	@"$(PYTHON)" -c '$(SUPPORTED)' 2>/dev/null || { echo "weaklib needs Python 3.11 or 3.12 with venv:" \
	  "on Debian and Ubuntu 'apt-get install python3.11-venv', else name one with 'make PYTHON=/path/to/python3.11'."; \
	  exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	$(BIN)/python -c "from librosa import cqt"  # numba compiles here, once, and not at a reader's first picture
	@$(FLUIDSYNTH)
	@touch $@

$(BROWSER): $(STAMP)
	@$(CHROMIUM)
	@touch $@

# Beside the locked versions, not among them: nothing that is trained or measured depends on it.
$(SPHINX): $(STAMP)
	$(BIN)/python -m pip install --no-build-isolation -e ".[book]"
	@touch $@

$(AXE):
	mkdir -p $(VENV)/axe
	cd $(VENV)/axe && npm pack --silent axe-core@4.14.1 && tar xzf axe-core-4.14.1.tgz

# Installs a package unless `have` finds it, where that needs no password; goes on in any case.
define APT
apt() { \
  if ! have && command -v apt-get >/dev/null; then \
    if [ "$$(id -u)" = 0 ]; then sudo=; else sudo='sudo -n'; fi; \
    { $$sudo true 2>/dev/null && $$sudo apt-get update && \
      $$sudo apt-get install -y --no-install-recommends "$$1"; } || true; \
  fi; \
}
endef

# FluidSynth is the one library that pip does not bring; without it all that plays no instrument still works.
define FLUIDSYNTH
$(APT); \
have() { $(BIN)/python -c 'import weaklib.midi, fluidsynth' 2>/dev/null; }; \
apt libfluidsynth3; \
have || echo "FluidSynth is missing, which plays the instruments: 'sudo apt-get install libfluidsynth3'," \
  "'brew install fluid-synth' or 'conda install -c conda-forge fluidsynth'."
endef

# The tests of the widgets play in a real browser; without it they are skipped.
define CHROMIUM
$(APT); \
have() { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; \
apt chromium; \
have || echo "Chromium is missing, so the widgets are not tested in a browser: 'sudo apt-get install chromium'."
endef

lock:  ## write requirements.lock anew from pyproject.toml (ARGS="--upgrade" for the newest versions)
	"$(PYTHON)" -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet uv
	$(VENV)/lock/bin/uv pip compile pyproject.toml --extra test --universal --python-version 3.11 \
	  --fork-strategy fewest --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command 'make lock' --output-file requirements.lock --quiet $(ARGS)
