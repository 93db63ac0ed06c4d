# lmr: `make help` lists the targets.
VERSION := 0.1.0
VARIANT ?= release
PREFIX  ?= /usr/local
B       := build/$(VARIANT)

PACKAGES  := lua5.4 sqlite3 liblz4 libzstd zlib liblzma libxxhash libuv jansson
WARNINGS  := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
SANITIZE  := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

CC_release := $(CC)
CC_debug   := $(CC)
CC_asan    := $(CC)
CC_werror-gcc   := gcc
CC_werror-clang := clang
CC_fuzz    := clang
OPT_release := -O2 -g
OPT_debug   := -O0 -g3
OPT_asan    := -O1 -g $(SANITIZE)
OPT_werror-gcc   := -O2 -Werror
OPT_werror-clang := -O1 -Werror
OPT_fuzz    := -O1 -g -fsanitize=fuzzer-no-link $(SANITIZE)

COMPILE  := $(CC_$(VARIANT))
CPPFLAGS += -D_GNU_SOURCE -DLMR_VERSION='"$(VERSION)"' -Ihost
# Headers of libraries are not ours to warn about.
LIBRARY_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(PACKAGES) 2>/dev/null))
LIBRARIES := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lbz2 -lm -lpthread -ldl
ALL_CFLAGS := -std=c11 $(WARNINGS) $(OPT_$(VARIANT)) $(LIBRARY_CFLAGS) $(CFLAGS)
# -rdynamic: modules in C that a job requires find the host's symbols.
ALL_LDFLAGS := $(OPT_$(VARIANT)) -rdynamic $(LDFLAGS)

SOURCES  := $(wildcard host/*.c host/*/*.c)
OBJECTS  := $(SOURCES:%.c=$(B)/%.o)
LIBRARY_OBJECTS := $(filter-out $(B)/host/main.o,$(OBJECTS)) $(B)/embedded.o
EMBEDDED := $(sort $(wildcard scripts/*.lua profiles/*.lua))
TOOLS    := $(patsubst spec/tools/%.c,$(B)/tools/%,$(wildcard spec/tools/*.c))

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all tools debug FORCE

all: $(B)/lmr tools ## build build/release/lmr

tools: $(TOOLS)

debug: ## build build/debug/lmr, without optimization
	$(MAKE) VARIANT=debug

$(B)/lmr: $(B)/host/main.o $(LIBRARY_OBJECTS)
	$(COMPILE) $(ALL_LDFLAGS) -o $@ $^ $(LIBRARIES)

$(B)/tools/%: $(B)/spec/tools/%.o $(LIBRARY_OBJECTS)
	@mkdir -p $(@D)
	$(COMPILE) $(ALL_LDFLAGS) -o $@ $^ $(LIBRARIES)

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(COMPILE) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/embedded.c: $(EMBEDDED) .ci/embed $(B)/embedded.list
	.ci/embed $(EMBEDDED) >$@

$(B)/embedded.o: $(B)/embedded.c $(B)/flags
	$(COMPILE) $(CPPFLAGS) $(ALL_CFLAGS) -fno-lto -MMD -MP -c -o $@ $<

# Files that change only when what they say changes: a new flag or a removed script rebuilds.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(COMPILE) $(subst ','\'',$(CPPFLAGS)) $(ALL_CFLAGS) $(ALL_LDFLAGS)' | cmp -s - $@ || \
	    printf '%s\n' '$(COMPILE) $(subst ','\'',$(CPPFLAGS)) $(ALL_CFLAGS) $(ALL_LDFLAGS)' >$@

$(B)/embedded.list: FORCE
	@mkdir -p $(@D)
	@echo '$(EMBEDDED)' | cmp -s - $@ || echo '$(EMBEDDED)' >$@

.SECONDARY:
-include $(wildcard $(OBJECTS:.o=.d) $(TOOLS:$(B)/tools/%=$(B)/spec/tools/%.d) $(B)/embedded.d)
