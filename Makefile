# make up     installs everything on this machine, runs a first client and shows a conversation with it
# make test   runs every test
# make help   lists the rest

INVENTORY ?= inventory/local
CLIENT ?= padaria
PERSONALITY ?= templates/personalities/bakery.pt.toml
PURGE ?= no
PYTHON ?= python3

BIN := .venv/bin
STAMP := .venv/.complete
TEST_PACKAGES := bubblewrap chromium chromium-driver curl espeak-ng jq nginx pebble postgresql redis-server supervisor zbar-tools
PLAYBOOK = $(BIN)/ansible-playbook -i $(INVENTORY)
PYTEST = $(BIN)/pytest
APART := tests/unit tests/integration tests/ansible tests/browser

# uv reads no pip configuration: give it the index of this machine's, where there is one.
PIP_INDEX = $(or $(PIP_INDEX_URL),$(shell $(BIN)/python -m pip config get global.index-url 2>/dev/null))
UV = $(if $(PIP_INDEX),UV_DEFAULT_INDEX='$(PIP_INDEX)') $(BIN)/uv
UV_LOCK = $(UV) pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate

.PHONY: help setup up down test test-here test-apart test-hosts test-machine test-faults test-fleet test-packages schema \
	lint lock bench-speech bench-speech-gpu bench-unchanged-site

help:
	@echo 'make setup        the virtual environment .venv, from the lock files'
	@echo 'make up           everything on this machine, a first client, a conversation with it'
	@echo 'make down         removes what make up installed; with PURGE=yes its data, too'
	@echo 'make test         every test'
	@echo 'make test-here    every test but those on real Debian hosts; test-apart: those alone that leave this machine as it is'
	@echo 'make test-faults  the long random faults'
	@echo 'make test-fleet   the tests on real Debian hosts, with those that are too long for make test'
	@echo 'make bench-unchanged-site  an unchanged site.yml on a fleet, against stock Ansible'
	@echo 'make bench-rollback  a deploy and a rollback on a fleet under load'
	@echo 'make bench-ai      what the AI service adds to the provider, and its memory'
	@echo 'make bench-speech | bench-speech-gpu   the speech node beside faster-whisper'
	@echo 'make bench-crash | bench-memory | bench-seal | bench-density   measures of bots (docs/benchmarks.md)'
	@echo 'make bench-add-client | bench-move  a new client among many; moves of a client under load, on a fleet'
	@echo 'make bench-settings  a setting to 200 running bots, beside supervisorctl update'
	@echo 'make lint         style, types, playbooks'
	@echo 'make schema       app/orbitbot/foundation/schema.sql from the migrations'
	@echo 'make lock         new lock files from pyproject.toml'

setup: $(STAMP)

$(STAMP): locks/bootstrap.txt locks/control.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(f"{sys.executable} is Python {sys.version.split()[0]}; needed: 3.11 or later")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement locks/bootstrap.txt
	$(UV) pip install --python $(BIN)/python --require-hashes --requirement locks/control.txt
	$(UV) pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -c 'from tests.hosts.doctor import let_tools_find_each_other as run; run()'
	@touch $@

up: setup
	$(PLAYBOOK) playbooks/site.yml
	$(PLAYBOOK) playbooks/add-client.yml -e client=$(CLIENT) -e channel=simulator -e settings_file=$(PERSONALITY)
	$(BIN)/python -m tests.acceptance.day --client $(CLIENT)
	@ANSIBLE_STDOUT_CALLBACK=community.general.null $(PLAYBOOK) playbooks/summary.yml

down: setup
	$(PLAYBOOK) playbooks/down.yml -e purge=$(PURGE)

# Two halves that do not get in each other's way. What needs a fleet, or this machine itself, comes one by one.
test: setup test-packages lint
	$(BIN)/python -m tests.support.side_by_side \
		apart: $(MAKE) --no-print-directory test-apart \
		in-turn: $(MAKE) --no-print-directory --keep-going test-hosts test-machine

test-here: setup test-packages
	$(MAKE) --no-print-directory --keep-going test-apart test-machine

test-apart: setup test-packages
	$(PYTEST) -m 'not faults and not machine' --numprocesses 2 --dist worksteal $(APART)

test-hosts: setup test-packages
	$(BIN)/python -m tests.hosts setup
	$(PYTEST) -m 'not faults and not long' tests/fleet

test-machine: setup test-packages
	$(PYTEST) -m '(machine or acceptance) and not faults' tests/ansible tests/acceptance

test-faults: setup test-packages
	$(PYTEST) -m faults

test-fleet: setup test-packages
	$(BIN)/python -m tests.hosts setup
	$(PYTEST) -m 'not faults' tests/fleet

bench-speech: setup test-packages
	$(BIN)/python -m tests.load.speech

# Needs an NVIDIA GPU: the CUDA libraries come into .venv with it.
bench-speech-gpu: setup test-packages
	$(UV) pip install --python $(BIN)/python --require-hashes --requirement locks/speech-gpu.txt
	$(BIN)/python -m tests.load.speech_gpu

bench-unchanged-site: setup test-packages
	$(BIN)/python -m tests.hosts setup
	$(BIN)/python -m tests.load.unchanged_site

.PHONY: bench-rollback
bench-rollback: setup test-packages
	$(BIN)/python -m tests.hosts setup
	$(BIN)/python -m tests.load.rollback

.PHONY: bench-add-client bench-move
bench-add-client: setup test-packages
	$(BIN)/python -m tests.hosts setup
	$(BIN)/python -m tests.load.adding

bench-move: setup test-packages
	$(BIN)/python -m tests.hosts setup
	$(BIN)/python -m tests.load.moves

# Measures of bots: what kills cost them, their memory, what a hostile one does to its neighbour.
.PHONY: bench-ai
bench-ai: setup test-packages
	$(BIN)/python -m tests.load.ai

.PHONY: bench-crash bench-memory bench-seal bench-density
bench-density: setup test-packages
	$(BIN)/python -m tests.load.density

bench-crash: setup test-packages
	$(BIN)/python -m tests.load.crash

bench-memory: setup test-packages
	@which node npm chromium > /dev/null \
		|| DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends nodejs npm chromium
	$(BIN)/python -m tests.load.memory

.PHONY: bench-settings
bench-settings: setup test-packages
	$(BIN)/python -m tests.load.settings

bench-seal: setup
	$(BIN)/python -m tests.hosts setup
	$(BIN)/python -m tests.load.seal

# The servers that tests start privately, and the voice that speaks to the speech node.
test-packages:
	@missing=; for package in $(TEST_PACKAGES); do \
		[ "$$(dpkg-query --show --showformat '$${db:Status-Status}' $$package 2>/dev/null)" = installed ] \
			|| missing="$$missing $$package"; \
	done; \
	[ -z "$$missing" ] || { apt-get update --quiet \
		&& DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends $$missing; }

lint: setup
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	MYPYPATH=roles/backup/files $(BIN)/mypy roles/backup/files/orbitbot_backup
	$(BIN)/mypy --allow-subclassing-any plugins/*/*.py roles/*/files/*.py  # Ansible has no types: its base classes are Any
	$(BIN)/ansible-playbook -i $(INVENTORY) --syntax-check playbooks/*.yml
	$(BIN)/ansible-lint --offline

schema: setup
	$(BIN)/python -m tests.support.schema

lock: setup
	$(UV_LOCK) --all-extras --group control --group dev --output-file locks/control.txt
	for kind in application bot speech; do \
		$(UV_LOCK) --extra $$kind --constraint locks/control.txt --output-file locks/$$kind.txt || exit; \
	done
	$(UV_LOCK) --extra speech --group speech-gpu --constraint locks/control.txt --output-file locks/speech-gpu.txt
