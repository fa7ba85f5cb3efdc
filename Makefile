.PHONY: install lint type test bench proto

install:
	pip install -e '.[server,plot,test,dev]'

lint:
	ruff check .
	ruff format --check .
	buf lint proto

type:
	mypy

test:
	pytest

bench:
	@python -m benchmarks

proto:
	python proto/generate.py
