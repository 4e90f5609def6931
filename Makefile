# make test    run all tests, as .ci/run does
# make check   run lint and the fast tests, check the hot loops and, if an emcc is found, the modules' bytes
# make wasm    rebuild the kernels:  make wasm EMCC="$(.ci/setup-emscripten)"
# make sanitize   run the tests of operations on native kernels under sanitizers:  make sanitize CLANG="$(.ci/setup-clang)"
# make tune    measure matmul and attention with other block sizes; needs an emcc as well
# make fuzz    fuzz the readers of files with atheris, and the kernels of operations with libFuzzer (CLANG as for
#              sanitize), for FUZZ_SECONDS on each target
# make docs    check every example and link, and build the site:  build/site/index.html
# make web     pack the npm package, in build/
# make bench   measure the speed of this machine
# make bench-peers   install the libraries that `python -m bench` compares with
# make charts   download the libraries that draw the charts of HTML reports again
# make screenshots   take pictures of every HTML report of NumPy's own tests, in build/screenshots/
# make soak    make calls with faults for 20 minutes and compare them with oracles:  make soak SOAK_MINUTES=60
# make soak-gpu   make 5,000 calls of the backend "gpu"
# make sbom   list the modules and the packages that a user of the wheel gets, in build/sbom.json
# make performance   measure everything, store it in bench/results/ and generate docs/performance-tables.md

PYTHON ?= python3
VENV ?= .venv
EMCC ?= emcc
CLANG ?= clang
# Each process gets neighbouring tests, so that it seldom has to make fixtures that another one has made, too.
PYTEST_ARGS ?= -n auto --dist worksteal
SOAK_MINUTES ?= 20
# The arguments with which pip installs PyTorch. PyPI's build for Linux depends on CUDA, which takes gigabytes. TORCH
# may name an index of builds without CUDA before the version. If it is empty, PyTorch is not installed.
TORCH ?= torch==2.13.0

python = $(VENV)/bin/python
installed = $(VENV)/.installed
peers = $(VENV)/.peers
fuzzers = $(VENV)/.fuzzers
site_tools = $(VENV)/.site-tools
web_tools = web/node_modules/.installed
FUZZ_SECONDS ?= 60
c_files = $(wildcard wasm/*.[ch] wasm/*/*.[ch] wasm/*/*/*.[ch] tests/sanitizers/*/*.[ch] hosts/c/*.[ch])

.PHONY: test check lint wasm wasm-check wasm-check-if-emcc hot-loops tune docs format clean
.PHONY: web web-tools site
.PHONY: bench bench-peers charts screenshots performance sbom soak soak-gpu sanitize fuzz fuzz-kernels fuzz-readers

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

# The build needs no package, so any Python can run it.
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

# Check that hot loops keep their vectors in registers. On machines without a disassembler it only prints a notice.
hot-loops: $(installed)
	$(python) wasm/tools/hot_loops.py

# Run the tests of all operations on native kernels under AddressSanitizer and UndefinedBehaviorSanitizer.
sanitize: $(installed)
	$(python) tests/sanitizers/native_suite.py --clang "$(CLANG)" $(PYTEST_ARGS)

tune: $(installed)
	$(python) wasm/tools/tune.py --emcc "$(EMCC)"

# tests/fuzz/README.md describes the fuzzing of readers. It stores failing inputs in build/fuzz/.
fuzz: fuzz-kernels fuzz-readers

# It stores failing inputs in wasm/build/native/.
fuzz-kernels: $(installed)
	$(python) tests/sanitizers/fuzz_kernels.py --clang "$(CLANG)" --seconds $(FUZZ_SECONDS)

fuzz-readers: $(fuzzers)
	$(python) tests/fuzz/run_atheris.py --seconds $(FUZZ_SECONDS) $(FUZZ_TARGETS)

# atheris has wheels only for Linux.
$(fuzzers): $(installed)
	$(python) -m pip install --quiet "atheris>=3,<4"
	touch $@

# The package for browsers. npm copies the modules into it.
web:
	mkdir -p build
	cd web && npm pack --pack-destination ../build

# Install TypeScript. Tests use it to compile a program against the package's types.
web-tools: $(web_tools)

$(web_tools): web/package-lock.json
	@if command -v npm >/dev/null; then \
	    npm --prefix web ci --ignore-scripts --no-audit --no-fund && touch $@; \
	else \
	    echo "no npm here: no program is compiled against the package's types"; \
	fi

# Measure on this machine, without other libraries.
bench: $(installed)
	$(VENV)/bin/flashwasm bench all

# Install the libraries that `python -m bench` compares with. The libraries for Node require npm.
bench-peers: $(peers)

$(peers): pyproject.toml bench/package-lock.json $(installed)
	$(python) -m pip install --quiet --editable ".[bench]"
	test -z "$(TORCH)" || $(python) -m pip install --quiet $(TORCH) || \
	    echo "no PyTorch for this Python: it is left out"
	@if command -v npm >/dev/null; then \
	    npm --prefix bench install --no-save --ignore-scripts --no-audit --no-fund; \
	else \
	    echo "no npm here: the libraries of Node are left out"; \
	fi
	touch $@

# Download the libraries that draw the charts of HTML reports; see the README beside them.
vendored = src/flashwasm/qe/reports/vendor
charts:
	mkdir -p build/charts
	cp $(vendored)/package.json $(vendored)/package-lock.json build/charts
	npm --prefix build/charts ci --ignore-scripts --no-audit --no-fund
	cp build/charts/node_modules/chart.js/dist/chart.umd.min.js $(vendored)
	cp build/charts/node_modules/chartjs-plugin-zoom/dist/chartjs-plugin-zoom.min.js $(vendored)

# This takes about half an hour on an idle machine. After an interruption, RESUME=--resume continues.
# EMBEDDINGS="--embeddings FILE" also searches the vectors of a .npy file, besides the random ones.
performance: $(peers)
	$(python) -m bench all --record --vectors 100000 $(EMBEDDINGS) $(RESUME)
	$(python) -m bench render

# Make calls from several threads, with bad inputs and injected faults. docs/reliability.md has the figures.
soak: $(installed)
	$(python) -m bench reliability --minutes $(SOAK_MINUTES)

# Make 5,000 calls of the backend "gpu", and check that they leak nothing.
soak-gpu: $(installed)
	$(python) -m bench.reliability.gpu_calls 5000

# Write the bill of materials, in the format CycloneDX.
sbom: $(installed)
	$(python) .ci/sbom.py build/sbom.json

# Run and type-check the examples in README.md, docs/ and the docstrings, and check every link between them.
docs: site $(installed)
	$(python) -m pytest tests/docs

# Build the documentation site in build/site. The build fails if a link is broken.
site: $(site_tools)
	$(VENV)/bin/zensical build --strict

$(site_tools): pyproject.toml $(installed)
	$(python) -m pip install --quiet --editable ".[docs]"
	touch $@

$(installed): pyproject.toml
	test -x $(python) || $(PYTHON) -m venv $(VENV)
	$(python) -m pip install --quiet --editable ".[test,dev]"
	touch $@

clean:
	rm -rf $(VENV) bench/node_modules web/node_modules web/_wasm web/LICENSE build dist wasm/build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

screenshots: $(installed) web-tools
	$(python) tests/web/report_screenshots.py build/screenshots
