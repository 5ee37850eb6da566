# Every target but help and clean first makes the environment, if it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin
STUDY ?= config/demo.yaml
LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --upgrade
PAPER ?= config/paper.yaml
SLURM_TESTS ?= slurm
SAMPLE ?= 100
SEED ?= 0
# docs/faults.md is made from the tests, see tests/faults/table.py.
MARKDOWN := README.md CONTRIBUTING.md CODE_OF_CONDUCT.md SECURITY.md CHANGELOG.md config $(filter-out docs/faults.md,$(wildcard docs/*.md))
CORE ?= .venv-core
# One process per core; the tests of a file stay together, because they share slow fixtures.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile
SNAKEMAKE = $(BIN)/snakemake --configfile $(STUDY) --logger folk

.DEFAULT_GOAL := help
.PHONY: help setup setup-core demo demo-full smoke tamper schemas test test-all slurm-test soak coverage mutate bench gpu-check check format lock site clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: .venv/ready ## make the environment .venv from hash-pinned packages

setup-core: $(CORE)/ready ## make .venv-core, without torch, to audit, plan and report

demo: setup ## run the demo: images in, tables out, about ten minutes on two cores
	@$(SNAKEMAKE)
	@echo
	@cat results/demo/tables/frozen.md results/demo/tables/finetune.md
	@echo
	@echo "Done. Open results/demo/report.html; the tables are in results/demo/tables/."

demo-full: STUDY := config/demo-full.yaml
demo-full: setup ## run the demo with every method and measurement, about sixteen minutes
	@$(SNAKEMAKE)
	@echo
	@cat results/demo-full/tables/grid.md
	@echo
	@echo "Done. Open results/demo-full/report.html; the tables are in results/demo-full/tables/."

smoke: setup ## run two steps of every recipe of the paper study, on miniature archives
	@command=$$($(BIN)/python -m folk smoke $(PAPER)) && $(BIN)/$$command --logger folk
	@echo "Done. Every recipe of $(PAPER) has run; none of its numbers is a result."

tamper: setup ## seven lies about the shipped study, and what catches six of them; a minute
	@$(BIN)/python -m examples.tamper

test: setup ## run the quick tests, with one tiny study
	@$(PYTEST) -m "not slurm and not soak and not slow" --durations=10 $(TESTS)
	@echo "Done. All quick tests passed; make test-all runs the slow ones too."

test-all: setup .venv/crate/ready ## run every test that needs no SLURM, as CI does
	@$(PYTEST) -m "not slurm and not soak" --durations=10 $(TESTS)
	@echo "Done. All tests passed; tests/ mirrors folk/, and tests/workflow/ runs a whole study."

slurm-test: setup ## run the tests on a real SLURM, which they start on this machine
	@$(BIN)/python -m pytest -m "$(SLURM_TESTS)" tests/slurm
	@echo "Done. All tests on SLURM passed."

soak: setup ## run the tests with many kills, and write docs/faults.md
	@$(BIN)/python -m pytest -m soak tests/faults
	@$(BIN)/python -m tests.faults.table --write
	@echo "Done. Nothing was lost; docs/faults.md is written from the tests."

coverage: setup .venv/crate/ready ## run the tests and show the lines and branches of folk/ that they reach
	@rm -f build/coverage/.coverage*
	@mkdir -p build/coverage
	@COVERAGE_FILE=$(CURDIR)/build/coverage/.coverage $(BIN)/python -m coverage run -m pytest -q -m "not slurm and not soak" $(TESTS)
	@COVERAGE_FILE=$(CURDIR)/build/coverage/.coverage $(BIN)/python -m coverage combine --quiet
	@COVERAGE_FILE=$(CURDIR)/build/coverage/.coverage $(BIN)/python -m coverage html --quiet --directory build/coverage/html
	@COVERAGE_FILE=$(CURDIR)/build/coverage/.coverage $(BIN)/python -m coverage report
	@echo "Done. Line by line: build/coverage/html/index.html."

mutate: setup ## test the tests with wrong code; PARTS="metrics verdicts" SAMPLE=all for more
	@$(BIN)/python -m tests.mutate $(PARTS) --sample $(SAMPLE) --seed $(SEED)
	@echo "Done. For the mutants that no test noticed: python -m tests.mutate --list"

bench: setup ## measure speed against baselines, a few minutes; ROWS="masks step" for some; MFM=PATH: its released code
	@$(BIN)/python -m tests.bench $(ROWS) $(if $(MFM),--mfm $(MFM))

gpu-check: setup ## check results and speed on a GPU, at most eight minutes
	@$(BIN)/python -m tests.gpu

check: setup ## check formatting, lint, types and workflow
	$(BIN)/ruff format --check folk tests examples
	$(BIN)/ruff check folk tests examples
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/mdformat --check $(MARKDOWN)
	@echo "Done. All checks passed."

format: setup ## format code and Markdown
	$(BIN)/ruff format folk tests examples
	$(BIN)/ruff check --fix folk tests examples
	$(BIN)/snakefmt Snakefile workflow
	$(BIN)/mdformat $(MARKDOWN)

schemas: setup ## write workflow/schemas/, after a change of the keys of studies or recipes
	@$(BIN)/python -m folk schema study > workflow/schemas/study.schema.json
	@for stage in prepare split pretrain finetune probe segment robustness cost; do \
	  $(BIN)/python -m folk schema $$stage > workflow/schemas/recipe-$$stage.schema.json || exit 1; done
	@echo "Done. Editors read them; tests/cli/test_schema.py compares them."

lock: setup ## choose package versions again, after an edit of pyproject.toml
	$(LOCK) pyproject.toml --group build --extra dev -o requirements.lock
	$(LOCK) pyproject.toml --group build --extra workflow -c requirements.lock -o requirements-core.lock
	$(LOCK) tests/workflow/crate.in -o tests/workflow/crate.lock
	$(LOCK) docs/site.in -o docs/site.lock

site: .venv/site/ready ## build the documentation as a site in build/site; a broken link fails
	@rm -rf build/site
	@.venv/site/bin/python -m sphinx --quiet --fail-on-warning --fresh-env -c docs -d build/site-cache . build/site
	@echo "Done. Open build/site/index.html."

clean: ## remove the results of both demos
	rm -rf results/demo results/demo-full

# Two separate environments: one with the programs that read exports in tests, some of which need old
# versions of other packages, and one to build the site.
.venv/crate/ready: tests/workflow/crate.lock
.venv/site/ready: docs/site.lock
.venv/crate/ready .venv/site/ready: .venv/ready
	@$(BIN)/uv venv --quiet --clear $(@D)
	@VIRTUAL_ENV=$(@D) $(BIN)/uv pip sync --quiet --require-hashes $(filter %.lock,$^)
	@touch $@

# pip installs uv, from the same lock with the same hashes, and uv installs the rest quickly. Last comes
# this project, by a .pth file, with the command folk and the executor for snakemake.
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 setup"; exit 1; }
	@echo "Making the environment in $(@D): $(1) the first time."
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@awk '/^[^ #]/ { of_uv = /^uv==/ } of_uv' $< > $(@D)/uv.lock
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(@D)/uv.lock
	@VIRTUAL_ENV=$(@D) $(@D)/bin/uv pip sync --require-hashes --compile-bytecode $<
	@VIRTUAL_ENV=$(@D) $(@D)/bin/uv pip install --quiet --offline --no-deps --no-build-isolation --editable .
	@touch $@
endef

.venv/ready: requirements.lock pyproject.toml
	$(call install,a few minutes and 6 GB)

$(CORE)/ready: requirements-core.lock pyproject.toml
	$(call install,a minute and 0.8 GB)
