# Two commands do everything: `make chat` and `make test`. Each sets up `.venv/` when needed.
PYTHON ?= python3
COACH = .venv/bin/coach
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev chat test lint migration eval-model

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup:  ## set up .venv (a second call installs nothing)
	@$(PYTHON) deploy/setup.py

setup-dev:  ## set up .venv with what the tests need
	@$(PYTHON) deploy/setup.py --dev

chat: setup  ## talk to the coach in this terminal
	@$(COACH) chat

test: setup-dev  ## lint, types and tests: no network, no model
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/python -m pytest

migration: setup-dev  ## write the first migration anew from the tables (until the first release)
	.venv/bin/python .ci/migration.py

eval-model: setup-dev  ## advice with the language model of COACH_LLM, and injections (hours on a small machine; goes on where it stopped)
	.venv/bin/python .ci/model_report.py $(ARGS)

quiz-report: setup-dev  ## measure the quiz checker against other people's labels (docs/reports/quiz.md)
	PYTHONPATH=. .venv/bin/python .ci/quiz_report.py

quiz-fit: setup-dev  ## learn the checker's weights from tests/development, then judge the questions of the cards
	PYTHONPATH=. .venv/bin/python .ci/quiz_fit.py
	PYTHONPATH=. .venv/bin/python .ci/quiz_bank.py

simulate: setup-dev  ## 200 simulated learners over 90 days (docs/reports/learning.md)
	PYTHONPATH=. .venv/bin/python .ci/simulate.py
