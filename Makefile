# make demo   the sample shop from nothing to a report      make test   lint, types, unit and end-to-end tests
PYTHON ?= python3.11
BIN := .venv/bin
SHOP ?= shop

.PHONY: demo test lint types unit clean

$(BIN)/openmoon: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(BIN)/openmoon
	test -f $(SHOP)/summary.json || $(BIN)/openmoon data sample $(SHOP) --products 2000 --users 2000 --seed 0
	OPENMOON_SHOP=$(SHOP) $(BIN)/openmoon run recipes/sample.yaml
	-$(BIN)/python benchmarks/expected.py runs/sample/evaluation.json recipes/expected/sample.json
	@echo "The report: runs/sample/report.html. Try: $(BIN)/openmoon search recipes/sample.yaml --text 'red boots' --sheet boots.png"

test: lint types unit

lint: $(BIN)/openmoon
	$(BIN)/ruff check .

types: $(BIN)/openmoon
	$(BIN)/mypy

unit: $(BIN)/openmoon
	OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadgroup

clean:
	rm -rf .venv runs shop
