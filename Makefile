# Two commands do everything: `make app` and `make test`. Each sets up .venv by itself.
PYTHON ?= python3
BIN := .venv/bin
TEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --slowest-files 10
BENCH_DATA ?= build/simulated-small
NPM := $(shell command -v npm 2>/dev/null)
BIOME := node_modules/.bin/biome check --error-on-warnings

.PHONY: app test test-all soak package docs mutants check audit fix bench artifacts rooms screenshots clean

app: .venv/.app
	$(BIN)/python -m streamlit run app.py

# Two processes; then the same for the tests in a browser. The first pass sets no number of threads, as users set none:
# the package limits its own, and a figure that depends on threads must fail here. Browsers and servers get one thread
# each, since OpenMP threads that wait for a busy processor are many times slower than one. The long files come first
# (tests/conftest.py), and compiled code is kept whatever the shell says, which halves the time of collecting the tests.
test: .venv/.dev
	env -u OMP_NUM_THREADS -u OPENBLAS_NUM_THREADS $(TEST) -m "not slow and not browser"
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(TEST) -m "browser and not slow"

test-all: .venv/.dev
	$(BIN)/python -m pytest

soak: .venv/.dev
	$(BIN)/python -m pytest -m soak -s

# Builds the wheel, installs the core alone in a fresh environment and scores with it: fails where no such test ran.
package: .venv/.dev
	$(BIN)/python -m pytest -m package -rs tests/test_package.py

# The API reference from the docstrings, in build/docs; a warning is an error.
docs: .venv/.dev
	rm -rf build/docs
	PYTHONPATH=. $(BIN)/python docs/reference.py build/docs

# Breaks the code in some hundred places, one at a time, and sees that the tests named for each notice (minutes).
mutants: .venv/.dev
	$(BIN)/python tests/mutants/run.py --jobs 2

# Where Node.js is installed, Biome reads JavaScript and CSS: of two folders, since it would walk through .venv as well.
check: .venv/.dev $(if $(NPM),node_modules/.ready)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports
	$(BIN)/deptry .
	$(if $(NPM),$(BIOME) pages tests,@echo "skipped: the check of JavaScript and CSS needs Node.js with npm, which is not installed")

# Asks PyPI's advisories about every installed package: needs the network.
audit: .venv/.dev build/audit/.ready
	$(BIN)/python -m pip freeze | sed 's/+cpu$$//' > build/installed.txt
	build/audit/bin/python -m pip_audit -r build/installed.txt --no-deps --disable-pip --strict

fix: .venv/.dev $(if $(NPM),node_modules/.ready)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(if $(NPM),$(BIOME) --write pages tests,@echo "skipped: formatting JavaScript needs Node.js with npm, which is not installed")

bench: .venv/.dev
	$(BIN)/python -m benchmarks.run

# Trains the detectors that come with the project anew (about 5 minutes).
artifacts: .venv/.app
	$(BIN)/python -m benchmarks.embedded --data $(BENCH_DATA)

# Draws CONTRIBUTING's picture of the rooms from the imports.
rooms: .venv/.dev
	$(BIN)/python -m benchmarks.rooms

screenshots: .venv/.dev
	$(BIN)/python -m benchmarks.screenshots

clean:
	rm -rf .venv node_modules build .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The project itself is installed as it lies here, with the setuptools of requirements.txt: the command `asd`.
.venv/.app: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

.venv/.dev: .venv/.app requirements-dev.txt
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements-dev.txt
	touch $@

node_modules/.ready: package.json package-lock.json .npmrc
	npm ci --no-audit --no-fund
	touch $@

build/audit/.ready:
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --disable-pip-version-check pip-audit==2.10.1
	touch $@
