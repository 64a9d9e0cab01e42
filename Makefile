# make demo | make test  set up .venv on their own, once.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
DOCS_READY := $(VENV)/.ready-docs

.PHONY: setup demo serve docs test test-deployed lint bench clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'kerasapps needs Python 3.11 or newer: make PYTHON=python3.11'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup
	$(RUN) -m experiments.qa train --data stories --epochs 20 --baseline lstm

serve: setup
	$(RUN) -m experiments.serve

docs: $(DOCS_READY)
	$(RUN) -m docs.build

$(DOCS_READY): $(READY)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

test: setup
	$(RUN) -m pytest -n 2 --dist loadscope --no-loadscope-reorder -m "not slow"

# Programs of deployable folders, in an environment with NumPy, the runtimes, and sentencepiece for subwords alone.
test-deployed: setup
	$(PYTHON) -m venv --clear $(VENV)-deployed
	$(VENV)-deployed/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		numpy onnxruntime ai-edge-litert sentencepiece
	KERASAPPS_FRESH_PYTHON=$(abspath $(VENV)-deployed/bin/python) $(RUN) -m pytest -rs \
		$$(grep -rl 'deployed import alone' tests)

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

bench: setup
	mkdir -p runs
	$(RUN) -m benchmarks.qa --out runs/bench-qa.json
	$(RUN) -m benchmarks.image_classification --out runs/bench-images.json
	$(RUN) -m benchmarks.profile --out runs/bench-profile.json
	$(RUN) -m benchmarks.text_classification --out runs/bench-text.json
	$(RUN) -m benchmarks.translation --out runs/bench-translation.json
	$(RUN) -m benchmarks.language_model --out runs/bench-language.json
	$(RUN) -m benchmarks.style_transfer --out runs/bench-style.json
	$(RUN) -m benchmarks.gan --out runs/bench-gan.json
	$(RUN) -m benchmarks.export --out runs/bench-export.json

clean:
	rm -rf .venv .venv-* site *.egg-info build .mypy_cache .pytest_cache .ruff_cache
