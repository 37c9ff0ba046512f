# `make demo` shows a bus at work; `make test` runs the suite.  `make help` lists the rest.
#
#   make test PYTEST_ARGS="-k relay -x"     arguments for pytest
#   make test PYTHON=python3.12             another interpreter; `make clean` first

PYTHON ?= python3
PEER_PYTHON ?= $(call python_of,3.11)
PYTEST_ARGS ?=
TEST_EXTRAS ?= bridge,commands,crypto,docs,irc,metrics,sql,srv,stomp,test,web
TOX_ENVS ?= py310,py312,py313,stomp8
# How long a trial lasts, in seconds.
FEDMSG_TRIAL_SECONDS ?= 10
SOAK_SECONDS ?= 600
FUZZ_EXECUTIONS ?= 10000000
# Where `make mutation` puts faults, so many into each.
MUTATED ?= fedmsg/envelope.py fedmsg/crypto/*.py fedmsg/replay/*.py fedmsg/transports/stomp*.py
MUTANTS ?= 20
SOAK_OUTPUT ?= docs/performance/soak.txt
export FEDMSG_TRIAL_SECONDS

# Served by them in tests/integration/test_frameworks.py, on this Python only.
FRAMEWORKS = celery gevent gunicorn
LINTERS = ruff==0.17.6 mypy==2.4.1 basedpyright==1.40.2 types-requests types-six twine \
	check-manifest coverage
TOX = tox>=4.11
PEER = fedmsg==1.1.7 setuptools==81.0.0 pyOpenSSL==24.2.1 cryptography==43.0.3 \
	moksha.hub pygments psutil click

# What `make bench` compares with, each in an environment of its own.
BENCH_PEERS = nats redis fedora-messaging
BENCH_nats = nats-py==2.16.0
BENCH_redis = redis==8.1.0
BENCH_fedora-messaging = fedora-messaging==3.9.1
# The record is written if nothing is chosen.
BENCH_ARGS ?= --record=docs/performance

VENV = .venv
BIN = $(VENV)/bin
# Where tests find the commands of the released 1.1.7; empty if `make peer` has not been run.
FEDMSG_PEER ?= $(if $(wildcard .venv-peer/.installed),$(CURDIR)/.venv-peer/bin)
export FEDMSG_PEER

METADATA = setup.py pyproject.toml Makefile
# What an installation that is not editable consists of.
SOURCES = pytest_fedmsg.py $(shell find fedmsg scripts -name '*.py' -o -name 'fedmsg-config' -o -name 'py.typed' -o -path '*/static/*')

# The path of Python $(1): one of pyenv's, else what PATH has.
python_of = $(or $(lastword $(sort $(wildcard $(HOME)/.pyenv/versions/$(1).*/bin/python))), \
	$(shell command -v python$(1)))
# Directories of pyenv's Pythons, for tox.
PYENV_BINS = $(foreach v,3.10 3.11 3.12 3.13, \
	$(dir $(lastword $(sort $(wildcard $(HOME)/.pyenv/versions/$(v).*/bin/python)))))
empty :=
space := $(empty) $(empty)

PIP_INSTALL = -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test test-pythons test-pythons-env lint format types docs man dist bench bench-peers soak \
  coverage fuzz mutation venv peer clean
.DELETE_ON_ERROR:

help:
	@echo "make demo          a relay, a subscriber and three publishers on this machine"
	@echo "make test          the whole suite; PYTEST_ARGS=... are passed on"
	@echo "make test-pythons  the suite on $(TOX_ENVS); what is not installed is skipped"
	@echo "make peer          install fedmsg 1.1.7 beside, for the tests of interoperation"
	@echo "make soak          the trials, $(SOAK_SECONDS) seconds each; writes $(SOAK_OUTPUT)"
	@echo "make coverage      which lines and branches the suite runs, child processes included"
	@echo "make fuzz          every parser of foreign bytes, $(FUZZ_EXECUTIONS) hostile inputs"
	@echo "make mutation      $(MUTANTS) faults in each module of MUTATED: do tests notice?"
	@echo "make bench         the comparisons in benchmarks/; writes docs/performance"
	@echo "make lint types docs man dist format clean"

# -- environments; each is made again when what it was made from has changed -----------------------

$(VENV)/.installed: $(METADATA)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP_INSTALL) --editable '.[$(TEST_EXTRAS)]' $(LINTERS) $(FRAMEWORKS) \
	'$(TOX)'
	@touch $@

venv: $(VENV)/.installed

.venv-demo/.installed: $(METADATA) $(SOURCES)
	test -x .venv-demo/bin/python || $(PYTHON) -m venv .venv-demo
	rm -rf build
	.venv-demo/bin/python $(PIP_INSTALL) --force-reinstall --no-deps .
	.venv-demo/bin/python $(PIP_INSTALL) '.[commands]'
	rm -rf build
	@touch $@

.venv-peer/.installed: Makefile
	@test -n '$(PEER_PYTHON)' || { echo "make peer: fedmsg 1.1.7 needs Python 3.11" >&2; exit 1; }
	$(PEER_PYTHON) -m venv --clear .venv-peer
	.venv-peer/bin/python $(PIP_INSTALL) $(PEER)
	@touch $@

peer: .venv-peer/.installed

# -- what a user runs ------------------------------------------------------------------------------

# In an empty directory that is also the home directory: no configuration file is found.
demo: .venv-demo/.installed
	@work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && cd "$$work" && \
	env -u FEDMSG_CONFIG -u VIRTUAL_ENV -u PYTHONPATH HOME="$$work" \
	'$(CURDIR)/.venv-demo/bin/python' '$(CURDIR)/examples/demo.py' $(DEMO_ARGS)

test: $(VENV)/.installed
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# -- what a developer and .ci/run run --------------------------------------------------------------

RUN_TOX = PATH='$(subst $(space),:,$(strip $(PYENV_BINS))):$(PATH)' $(BIN)/tox run-parallel \
	--parallel 2 --skip-missing-interpreters $(if $(filter true,$(CI)),false,true) -e $(TOX_ENVS)

test-pythons: $(VENV)/.installed
	$(RUN_TOX) -- $(PYTEST_ARGS)

# Makes and fills the environments only.
test-pythons-env: $(VENV)/.installed
	$(RUN_TOX) --notest

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed
	$(BIN)/mypy
	$(BIN)/basedpyright

docs: $(VENV)/.installed
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

# One page for each command, made from its parser.
man: $(VENV)/.installed
	$(BIN)/python docs/_ext/man_pages.py docs/_build/man

# The wheel and the source archive, as an index would be given them.
dist: $(VENV)/.installed
	rm -rf dist
	$(BIN)/check-manifest
	$(BIN)/python -m build --quiet
	$(BIN)/twine check --strict dist/*

# Of the Python of $(VENV).
.venv-bench/%/.installed: Makefile | $(VENV)/.installed
	$(BIN)/python -m venv --clear $(@D)
	$(@D)/bin/python $(PIP_INSTALL) $(BENCH_$*)
	@touch $@

bench-peers: $(BENCH_PEERS:%=.venv-bench/%/.installed)

# Without what cannot be installed; the report says so.
bench: $(VENV)/.installed
	-$(MAKE) --keep-going peer bench-peers
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

# A trial may take a minute more than it lasts.  What it says of itself (-rP) is recorded.
soak: $(VENV)/.installed
	@mkdir -p $(dir $(SOAK_OUTPUT))
	FEDMSG_TRIAL_SECONDS=$(SOAK_SECONDS) $(BIN)/python -m pytest -m trial -rP --durations=0 \
	--show-capture=stdout --timeout=$$(($(SOAK_SECONDS) + 60)) $(PYTEST_ARGS) > $(SOAK_OUTPUT) 2>&1; \
	status=$$?; tail -n 1 $(SOAK_OUTPUT); exit $$status

# It takes twice the time.  What looks at the modules of a bare import would see those of coverage.
coverage: export COVERAGE_FILE = $(CURDIR)/.coverage/data
coverage: $(VENV)/.installed
	rm -rf .coverage && mkdir .coverage
	$(BIN)/coverage run -m pytest --deselect=tests/unit/test_options.py::test_options_is_a_leaf \
	$(PYTEST_ARGS); status=$$?; \
	$(BIN)/coverage combine --quiet && $(BIN)/coverage report && exit $$status

fuzz: $(VENV)/.installed
	PYTHONPATH=tests $(BIN)/python -W ignore -m fuzz --executions=$(FUZZ_EXECUTIONS) $(FUZZ_ARGS)

mutation: $(VENV)/.installed
	PYTHONPATH=tests $(BIN)/python -m mutants --sample=$(MUTANTS) $(MUTATION_ARGS) $(MUTATED)

clean:
	rm -rf $(VENV) .venv-bench .venv-demo .venv-peer .tox build dist docs/_build fedmsg.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
