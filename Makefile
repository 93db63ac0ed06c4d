# lmr: `make help` lists the targets.
VERSION := 0.1.0
VARIANT ?= release
PREFIX  ?= /usr/local
B       := build/$(VARIANT)

PACKAGES  := lua5.4 sqlite3 liblz4 libzstd zlib liblzma libxxhash libuv jansson libcurl
WARNINGS  := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
SANITIZE  := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

CC_release      := $(CC)
CC_debug        := $(CC)
CC_asan         := $(CC)
CC_werror-gcc   := gcc
CC_werror-clang := clang
CC_fuzz         := clang
OPT_release      := -O2 -g
OPT_debug        := -O0 -g3
OPT_asan         := -O1 -g $(SANITIZE)
OPT_werror-gcc   := -O2 -Werror
OPT_werror-clang := -O1 -Werror
OPT_fuzz         := -O1 -g -fsanitize=fuzzer-no-link $(SANITIZE)

COMPILE  := $(CC_$(VARIANT))
CPPFLAGS += -D_GNU_SOURCE -DLMR_VERSION='"$(VERSION)"' -Ihost
# Headers of libraries are not ours to warn about.
LIBRARY_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(PACKAGES) 2>/dev/null))
comma := ,
# libcurl is loaded when it is needed (host/data/curl_api.h).
SHARED := $(filter-out -lcurl,$(shell pkg-config --libs $(PACKAGES) 2>/dev/null))
# Lua is linked in whole (LUA_ARCHIVE= makes it a shared library again): its calls are then direct, which a
# word count in Lua sees as 7 % of its time, and modules in C find it in the program.
LUA_ARCHIVE ?= $(wildcard $(shell pkg-config --variable=libdir lua5.4 2>/dev/null)/liblua5.4.a)
LIBRARIES := $(if $(LUA_ARCHIVE),-Wl$(comma)--whole-archive $(LUA_ARCHIVE) -Wl$(comma)--no-whole-archive) \
    $(if $(LUA_ARCHIVE),$(filter-out -llua5.4,$(SHARED)),$(SHARED)) -lbz2 -lm -lpthread -ldl
ALL_CFLAGS := -std=c11 $(WARNINGS) $(OPT_$(VARIANT)) $(LIBRARY_CFLAGS) $(CFLAGS)
# -rdynamic: modules in C that a job requires find the host's symbols.
ALL_LDFLAGS := $(OPT_$(VARIANT)) -rdynamic $(LDFLAGS)

SOURCES  := $(wildcard host/*.c host/*/*.c)
OBJECTS  := $(SOURCES:%.c=$(B)/%.o)
LIBRARY_OBJECTS := $(filter-out $(B)/host/main.o,$(OBJECTS)) $(B)/embedded.o
PROFILES := $(sort $(wildcard profiles/*.lua))
EMBEDDED := $(sort $(wildcard scripts/*.lua)) $(PROFILES)
TOOLS    := $(patsubst spec/tools/%.c,$(B)/tools/%,$(wildcard spec/tools/*.c))
FUZZERS  := $(patsubst spec/fuzz/%.c,build/fuzz/%,$(wildcard spec/fuzz/*.c))

# A build started by another target uses all cores, unless make was told how many.
JOBS ?= $(shell nproc)
MAKE_QUIETLY = +@$(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS))
# One short line for each file; `make V=1` shows the commands.
Q = $(if $(V),,@printf '  %-5s %s\n' $(1) $@;)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all tools debug run test asan soak bench lint lint-tidy lint-cppcheck lint-lua lint-sh werror fuzz fuzz-build
.PHONY: install uninstall clean help FORCE

all: $(B)/lmr tools ## build build/release/lmr

tools: $(TOOLS)

debug: ## build build/debug/lmr, without optimization
	$(MAKE_QUIETLY) VARIANT=debug all

run: ## install what is missing (Debian), build, and count the words of the example texts
	@.ci/setup run
	$(MAKE_QUIETLY) $(B)/lmr
	LMR_STATE_DIR=build/state $(B)/lmr run examples/word_count.lua -o build/word_count --overwrite examples/data/*.txt
	@echo "The most frequent words, from build/word_count/part-*:"
	@LC_ALL=C sort -t "$$(printf '\t')" -k 2,2nr -k 1,1 build/word_count/part-* | sed 20q

test: ## install what is missing (Debian), build, and run the specs (SPECS="name …": some of them)
	@.ci/setup run test
	$(MAKE_QUIETLY) all
	@LMR_BUILD=$(VARIANT) lua5.4 spec/run.lua $(SPECS)

asan: ## build build/asan/lmr with AddressSanitizer and UBSan, and run the specs with it
	@.ci/setup run test
	$(MAKE_QUIETLY) VARIANT=asan all
	@LMR_BUILD=asan lua5.4 spec/run.lua $(SPECS)

soak: ## failing jobs under a virtual clock, random jobs against a plain loop and with workers killed, the crash sweep and random kills, then the specs again and again for SOAK_SECONDS (1800)
	@.ci/setup run test
	$(MAKE_QUIETLY) all
	@LMR_BUILD=$(VARIANT) lua5.4 spec/soak/recovery.lua 1 1000
	@LMR_BUILD=$(VARIANT) lua5.4 spec/soak/differential.lua 1 $${SOAK_SEEDS:-2000}
	@LMR_BUILD=$(VARIANT) lua5.4 spec/soak/steady.lua 1 $${SOAK_SEEDS:-500}
	@LMR_BUILD=$(VARIANT) lua5.4 spec/soak/crash.lua
	@LMR_BUILD=$(VARIANT) lua5.4 spec/soak/kills.lua 1 100
	@end=$$(($$(date +%s) + $${SOAK_SECONDS:-1800})); \
	while [ "$$(date +%s)" -lt "$$end" ]; do \
	    LMR_BUILD=$(VARIANT) lua5.4 spec/run.lua $(SPECS) || exit 1; \
	done

bench: ## build the inputs in build/bench and print the table of benchmarks
	@.ci/setup run bench
	$(MAKE_QUIETLY) all
	spec/bench/corpus.sh
	spec/bench/run.sh

lint: ## gcc and clang warnings, clang-tidy, cppcheck, luacheck, shellcheck: any is an error
	@.ci/setup run lint
	$(MAKE_QUIETLY) -k lint-sh lint-lua werror lint-cppcheck lint-tidy

fuzz: ## fuzz each target of spec/fuzz for FUZZ_SECONDS (30)
	@.ci/setup run fuzz
	$(MAKE_QUIETLY) VARIANT=fuzz fuzz-build
	@for fuzzer in $(FUZZERS); do .ci/fuzz "$$fuzzer" "$${FUZZ_SECONDS:-30}" || exit 1; done

install: $(B)/lmr $(B)/lmr.1 ## install under PREFIX (/usr/local); DESTDIR is honoured
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(DESTDIR)$(PREFIX)/share/lmr/profiles
	install -m 755 $(B)/lmr $(DESTDIR)$(PREFIX)/bin/lmr
	install -m 644 $(B)/lmr.1 $(DESTDIR)$(PREFIX)/share/man/man1/lmr.1
	$(if $(PROFILES),install -m 644 $(PROFILES) $(DESTDIR)$(PREFIX)/share/lmr/profiles)

uninstall: ## remove what install has put there
	rm -f $(DESTDIR)$(PREFIX)/bin/lmr $(DESTDIR)$(PREFIX)/share/man/man1/lmr.1
	rm -f $(PROFILES:%=$(DESTDIR)$(PREFIX)/share/lmr/%)
	rmdir $(DESTDIR)$(PREFIX)/share/lmr/profiles $(DESTDIR)$(PREFIX)/share/lmr 2>/dev/null || true

clean: ## remove build/
	rm -rf build

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

# How things are built.

$(B)/lmr: $(B)/host/main.o $(LIBRARY_OBJECTS)
	$(call Q,LINK)$(COMPILE) $(ALL_LDFLAGS) -o $@ $^ $(LIBRARIES)

$(B)/tools/%: $(B)/spec/tools/%.o $(LIBRARY_OBJECTS)
	@mkdir -p $(@D)
	$(call Q,LINK)$(COMPILE) $(ALL_LDFLAGS) -o $@ $^ $(LIBRARIES)

build/fuzz/fuzz_%: build/fuzz/spec/fuzz/fuzz_%.o $(LIBRARY_OBJECTS)
	$(call Q,LINK)$(COMPILE) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBRARIES)

fuzz-build: $(FUZZERS)

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call Q,CC)$(COMPILE) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/embedded.c: $(EMBEDDED) .ci/embed $(B)/embedded.list
	$(call Q,EMBED).ci/embed $(EMBEDDED) >$@

$(B)/embedded.o: $(B)/embedded.c $(B)/flags
	$(call Q,CC)$(COMPILE) $(CPPFLAGS) $(ALL_CFLAGS) -fno-lto -MMD -MP -c -o $@ $<

$(B)/lmr.1: $(B)/lmr
	$< help --man >$@

# Two files that change only when what they say changes: a new flag or a removed script rebuilds.
write_if_changed = @mkdir -p $(@D) || exit 1; printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || \
	printf '%s\n' '$(subst ','\'',$(1))' >$@

$(B)/flags: FORCE
	@pkg-config --exists $(PACKAGES) 2>/dev/null || { echo "libraries are missing: try .ci/setup run" >&2; exit 1; }
	$(call write_if_changed,$(COMPILE) $(CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS))

$(B)/embedded.list: FORCE
	$(call write_if_changed,$(EMBEDDED))

.SECONDARY:
-include $(wildcard $(OBJECTS:.o=.d) $(TOOLS:$(B)/tools/%=$(B)/spec/tools/%.d) $(B)/embedded.d)
-include $(wildcard build/fuzz/spec/fuzz/*.d)

# The parts of `make lint`.

LINT_C  := $(wildcard host/*.c host/*/*.c spec/tools/*.c spec/fuzz/*.c spec/bench/*.c)
LINT_SH = $(shell grep -lrE '^\#!/bin/(ba)?sh' .ci spec)

lint-sh:
	shellcheck $(LINT_SH)

lint-lua:
	luacheck --no-color -q $(wildcard scripts profiles spec examples)

werror:
	$(MAKE_QUIETLY) VARIANT=werror-gcc all
	$(MAKE_QUIETLY) VARIANT=werror-clang all

# One file a process: clang-tidy 14 takes va_start for missing in the second one.
lint-tidy:
	@printf '%s\0' $(LINT_C) | xargs -0 -n 1 -P $(JOBS) .ci/tidy -include .ci/tidy.h $(CPPFLAGS) -std=c11 \
	    $(LIBRARY_CFLAGS) --

# cppcheck 2.10 does not know _Noreturn, and across files it knows nothing of CHECK.
lint-cppcheck:
	@mkdir -p build/cppcheck
	@cppcheck -q -j $(JOBS) --std=c11 --enable=warning,performance,portability --inline-suppr \
	    --suppress=missingIncludeSystem --suppress=ctunullpointer --suppress=ctuuninitvar \
	    --error-exitcode=1 --cppcheck-build-dir=build/cppcheck '-D_Noreturn=__attribute__((noreturn))' \
	    $(CPPFLAGS) $(LINT_C)
