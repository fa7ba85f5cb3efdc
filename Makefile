.PHONY: install lint type test simulate teeth bench proto dashboards dashboard-preview manifests docs matrix browser fuzz emulate

install:
	pip install -e '.[server,plot,test,dev]'

lint:
	ruff check .
	ruff format --check .
	buf lint proto
	yamllint .
	hadolint deploy/Dockerfile

type:
	mypy

test:
	pytest -n auto

SEEDS ?= 10000
simulate:
	@python -m tests.simulation 0 $(SEEDS)

teeth:
	@python -m tests.teeth

bench:
	@python -m benchmarks

proto:
	python proto/generate.py

dashboards:
	python -m deploy.grafana.program

dashboard-preview:
	deploy/grafana/preview/demo 300 docs/images

manifests:
	python deploy/kubernetes/rules.py

docs:
	python -m docs.tables

matrix:
	pytest -m matrix tests/end_to_end/test_several_servers.py

browser:
	pytest -m browser tests/client/test_report_in_browser.py

FRAMES ?= 1000000
SEED ?= 1
fuzz:
	python -m tests.wire.frame_fuzz $(FRAMES) $(SEED)

emulate:
	python -m tests.end_to_end.emulated_processors
