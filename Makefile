PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo export-demo example figures test check docs lock platforms clean

demo: $(READY)  ## Train and test on the generated street scene
	$(BIN)/python -m memguard.train experiment=demo

export-demo: $(READY)  ## Export the street's model, and score the street's test videos with it
	test -e runs/export_demo/checkpoints/last.ckpt || \
		$(BIN)/python -m memguard.train experiment=demo hydra.run.dir=runs/export_demo
	$(BIN)/python -m memguard.export checkpoint=runs/export_demo/checkpoints/last.ckpt \
		output=runs/export_demo/street.onnx
	$(BIN)/python -m memguard.score backend=onnx checkpoint=runs/export_demo/street.onnx \
		video=$${MEMGUARD_DATA:-data}/street/test

example: $(READY)  ## Train, resume, evaluate, score and sweep a project of one's own
	cd examples/my_project && PATH="$(CURDIR)/$(BIN):$$PATH" sh run.sh

figures: $(READY)  ## Draw the figures of the experiments
	$(BIN)/python experiments/figures.py

# A test process per core: one thread each, or they would get in each other's way.
test: $(READY)  ## Run every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal

check: $(READY) docs  ## Lint, format, types and pages
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# NO_MKDOCS_2_WARNING silences an announcement of the theme.
docs: $(READY)  ## Build the site in build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lock:  ## Resolve requirements.lock again
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.10 \
		--no-annotate --no-header --upgrade --quiet --output-file requirements.lock

# Wheels alone, but for two packages that every machine builds without a compiler.
platforms: $(READY)  ## Resolve metadata and lock for each platform and Python
	@set -e; for platform in x86_64-manylinux_2_28 aarch64-manylinux_2_35 aarch64-apple-darwin \
			x86_64-pc-windows-msvc; do \
		for python in 3.10 3.11 3.12 3.13; do \
			for file in pyproject.toml requirements.lock; do \
				MACOSX_DEPLOYMENT_TARGET=14.0 $(BIN)/uv pip compile $$file --quiet \
					--python-platform $$platform --python-version $$python --only-binary :all: \
					--no-binary antlr4-python3-runtime --no-binary sqlalchemy > /dev/null; \
				echo "$$platform, Python $$python: $$file resolves"; \
			done; \
		done; \
	done

clean:  ## Remove the environment; runs and data stay
	rm -rf .venv

# The marker is younger than what it was installed from, so a second run installs nothing.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@
