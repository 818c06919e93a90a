# One word per habit. Meson does the work; see docs/architecture.md for what is where.

.DEFAULT_GOAL := dev
SHELL := /bin/bash

dev: build/dev/build.ninja              ## debug build with ASan and UBSan, in build/dev
	ninja -C build/dev

run: setup release                      ## install what is missing, build, start the hub, say what to do next
	build/release/twinhub serve $(ARGS)

check: setup                            ## what must never break; CI runs exactly this
	tools/check

slow: setup release                     ## the full figures, into docs/proof.tsv
	tools/slow

demo: release node_modules              ## the two worked scenarios, told step by step
	tools/demo

cover: setup                            ## branch coverage; 90 % of the pure folders
	tools/cover

bench: setup release                    ## measure build/release; appends to bench/results.tsv
	bench/run

release: setup build/release/build.ninja ## the program that ships, build/release/twinhub
	ninja -C build/release twinhub

install: release                        ## into $(DESTDIR)/usr/local
	meson install -C build/release

setup:                                  ## install the packages that are missing (as root)
	@tools/setup

node_modules: setup
	@cd tests/integration && { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund --loglevel=error; }

help:                                   ## this table
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build/dev/build.ninja: | setup
	meson setup build/dev -Db_sanitize=address,undefined

build/release/build.ninja: | setup
	meson setup build/release --buildtype=release -Db_lto=true -Db_pie=true -Ddebug=true

.PHONY: dev run check slow demo cover bench release install setup node_modules help
