# make test    everything the project promises, as .ci/run does it
# make check   lint, the fast tests, the hot loops and, where an emcc is found, the modules' bytes
# make wasm    rebuild the kernels:  make wasm EMCC="$(.ci/setup-emscripten)"
# make tune    how matmul and attention fare at other block sizes; needs an emcc as well
# make performance   measure everything and write docs/performance-tables.md and its picture

PYTHON ?= python3
VENV ?= .venv
EMCC ?= emcc
PYTEST_ARGS ?= -n auto

python = $(VENV)/bin/python
installed = $(VENV)/.installed
c_files = $(wildcard wasm/*.[ch] wasm/*/*.[ch] wasm/*/*/*.[ch])

.PHONY: test check lint wasm wasm-check wasm-check-if-emcc hot-loops tune bench performance docs
.PHONY: format clean

test: $(installed)
	$(python) -m pytest $(PYTEST_ARGS)

check: lint wasm-check-if-emcc hot-loops
	$(python) -m pytest $(PYTEST_ARGS) -m "not slow"

lint: $(installed)
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy
	$(VENV)/bin/clang-format --dry-run --Werror $(c_files)

format: $(installed)
	$(python) -m ruff check --fix .
	$(python) -m ruff format .
	$(VENV)/bin/clang-format -i $(c_files)

# The build needs no package: any Python will do.
wasm:
	$(PYTHON) wasm/tools/build.py --emcc "$(EMCC)"

wasm-check:
	$(PYTHON) wasm/tools/build.py --emcc "$(EMCC)" --check

wasm-check-if-emcc:
	@if command -v "$(EMCC)" >/dev/null; then \
	    $(PYTHON) wasm/tools/build.py --emcc "$(EMCC)" --check; \
	else \
	    echo "no $(EMCC) here: the modules' bytes are not compared (see .ci/setup-emscripten)"; \
	fi

# Does a hot loop keep its vectors in registers? It says so where it cannot look.
hot-loops: $(installed)
	$(python) wasm/tools/hot_loops.py

tune: $(installed)
	$(python) wasm/tools/tune.py --emcc "$(EMCC)"

bench: $(installed)
	$(VENV)/bin/flashwasm bench all

# Some minutes on a machine that does nothing else. Peers that are not installed are named as absent.
performance: $(installed)
	$(python) -m pip install --quiet --editable ".[bench,qe]"
	$(VENV)/bin/flashwasm bench all --markdown docs/performance-tables.md --plot docs/performance.svg

# The examples in README.md, docs/ and the docstrings run, and every link between them resolves.
docs: $(installed)
	$(python) -m pytest tests/docs/test_docs.py

$(installed): pyproject.toml
	test -x $(python) || $(PYTHON) -m venv $(VENV)
	$(python) -m pip install --quiet --editable ".[test,dev]"
	-$(python) -m pip install --quiet --editable ".[diff]"  # Its tests are skipped where it is missing.
	touch $@

clean:
	rm -rf $(VENV) build dist wasm/build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
