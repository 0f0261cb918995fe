# make PYTHON=python3.13 book    uses that Python (3.11 or newer) and makes .venv anew

BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PYTHON ?= $(or $(wildcard $(BIN)/python),python3)
READY = @$(PYTHON) tools/environment.py requirements.txt
# Dependabot reads these in the first lines of requirements.txt, and compiles with them too.
PINNED_FOR := --universal --python-version 3.11
export OPENBLAS_NUM_THREADS = 1

.PHONY: help book serve pdf test lab chapter outputs bench pins clean

help:     ## show this list
	@sed -n 's/^\([a-z]*\):\( *\)## /  make \1\2/p' Makefile

book:     ## build the book and print the path of its first page
	$(READY)
	@$(BIN)/python tools/book.py

serve:    ## build the book and serve it on this machine, with Python in its pages
	$(READY)
	@$(BIN)/python tools/book.py
	@$(BIN)/python tools/serve.py $(ARGS)

pdf:      ## build the book and print the path of its PDF (needs Chromium or Chrome)
	$(READY) tests/requirements.txt
	@$(BIN)/python tools/book.py
	@$(BIN)/python tools/pdf.py

test:     ## test every promise; make test ARGS="-k quiz" runs a part
	$(READY) tests/requirements.txt
	@$(BIN)/python tools/runtime.py >/dev/null || true
	@$(BIN)/python -m pytest $(ARGS)

lab:      ## open the chapters in JupyterLab
	$(READY)
	@$(BIN)/python tools/lab.py $(ARGS)

chapter:  ## start a chapter from the template: make chapter NAME=q99-short-name
	$(READY)
	@$(BIN)/python tools/chapter.py "$(NAME)"

outputs:  ## run the chapters again and store their outputs
	$(READY)
	@$(BIN)/python tools/outputs.py $(ARGS)

bench:    ## time the model
	$(READY)
	@$(BIN)/python tools/bench.py $(ARGS)

pins:     ## bring every pinned version up to date
	$(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@for f in requirements tests/requirements; do \
	  $(BIN)/python -m uv pip compile --quiet --upgrade $(PINNED_FOR) --no-emit-index-url --no-emit-find-links \
	    --custom-compile-command "make pins  # uv pip compile $(PINNED_FOR)" $$f.in -o $$f.txt || exit 1; done
	@{ sed -n '/^#/p' .binder/requirements.txt; \
	   sed -n 's/^\([a-z0-9-]*==\).*/^\1/p' .binder/requirements.txt | grep -f - requirements.txt | grep -v "< '3.12'"; } >.binder/pins
	@mv .binder/pins .binder/requirements.txt

clean:    ## remove .venv and everything built
	@rm -rf .venv _build .pytest_cache
