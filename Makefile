# terra: a Terraformer in your terminal.  `make help` lists the targets.
# SPDX-License-Identifier: MIT

# Settings, each may be given on the command line or in the environment.
B       ?= build#        build directory; variants get their own
CC      ?= gcc
OPT     ?= -O2 -g
BLAS    ?= openblas#     or none: scalar twin of sgemm
KERNELS ?= all#          or scalar: only the oracle kernels
SAN     ?=#              e.g. address,undefined or thread
PREFIX  ?= /usr/local
DESTDIR ?=
PYTHON  ?= $(shell for p in python3 /usr/bin/python3; do $$p -c 'import numpy' 2>/dev/null && echo $$p && exit; done; echo python3)
V       ?=
Q       := $(if $(V),,@)

VERSION := 0.1.0
prefix  ?= $(PREFIX)
bindir  := $(DESTDIR)$(prefix)/bin
datadir := $(DESTDIR)$(prefix)/share
PKGS    := ncursesw readline sqlite3 libcjson

DEBS := gcc make pkg-config libncurses-dev libreadline-dev libsqlite3-dev libopenblas-dev \
        libcjson-dev libcmocka-dev python3 python3-numpy tmux zstd strace clang \
        libclang-rt-14-dev locales clang-format clang-tidy cppcheck shellcheck mandoc

WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
CPPFLAGS_ALL := -I. -I$(B) -D_XOPEN_SOURCE=700 -D_XOPEN_SOURCE_EXTENDED -D_DEFAULT_SOURCE \
        -DTERRA_VERSION='"$(VERSION)"' -DTERRA_PREFIX='"$(prefix)"' \
        $(if $(filter none,$(BLAS)),-DTERRA_NO_BLAS) \
        $(if $(filter scalar,$(KERNELS)),-DTERRA_SCALAR_ONLY) $(if $(SAN),-DTERRA_NO_UNROLL) \
        $(filter-out -D%,$(shell pkg-config --cflags $(PKGS) 2>/dev/null)) \
        $(if $(filter none,$(BLAS)),,$(shell pkg-config --cflags openblas 2>/dev/null)) $(CPPFLAGS)
# No value-changing floating point: a sparse and a masked run must agree bit for bit.
CFLAGS_ALL := -std=c11 $(OPT) $(WARN) -ffp-contract=off -fno-math-errno -pthread \
        $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all) $(CFLAGS)
LDFLAGS_ALL := -pthread $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)

LIBS_engine := $(if $(filter none,$(BLAS)),,$(shell pkg-config --libs openblas 2>/dev/null || echo -lopenblas)) \
               $(shell pkg-config --libs libcjson 2>/dev/null || echo -lcjson) -lm
LIBS_ui     := $(shell pkg-config --libs ncursesw readline 2>/dev/null || echo -lreadline -lncursesw -ltinfo)
LIBS_data   := $(shell pkg-config --libs sqlite3 libcjson 2>/dev/null || echo -lsqlite3 -lcjson)

src = $(wildcard $(1)/*.c)
obj = $(patsubst %.c,$(B)/%.o,$(1))
ENGINE := $(call src,engine/base) $(call src,engine) $(call src,engine/kernels)
UI     := $(call src,ui)
DATA   := $(call src,data)
APP    := $(filter-out app/main.c,$(call src,app))
UNIT   := $(wildcard tests/unit/*/test_*.c)
FUZZ   := $(wildcard tests/fuzz/fuzz_*.c)
LIBS   := $(B)/libapp.a $(B)/libui.a $(B)/libdata.a $(B)/libengine.a
UNIT_BIN := $(patsubst %.c,$(B)/%,$(UNIT))
FUZZ_BIN := $(patsubst %.c,$(B)/%,$(FUZZ))

.DELETE_ON_ERROR:
.SECONDARY: # keep the objects of tests
.PHONY: all help deps test test-% unit e2e lint format sanitize tsan bench fuzz cover train-smoke \
        install uninstall deb clean man

all: $(B)/terra ## build the program (default)

# ---- compiling ---------------------------------------------------------------

# Changed flags rebuild everything: the stamp's text changes only with them.
FLAGS_TEXT := $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL)
$(B)/flags: FORCE
	$(Q)mkdir -p $(B)
	$(Q)printf '%s\n' '$(subst ','\'',$(FLAGS_TEXT))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(FLAGS_TEXT))' > $@
FORCE:

# Kernel sets carry their own instruction-set flags; a file name says which.
ISA_avx2   := -mavx2 -mfma
ISA_avx512 := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma
# gcc's PRE keeps every sum twice, once as the type that the product wants, and copies them
# back and forth in the inner loop: half the speed.
NO_PRE     := $(if $(findstring clang,$(shell $(CC) --version)),,-fno-tree-pre)
ISA_vnni   := $(ISA_avx512) -mavx512vnni $(NO_PRE)
ISA_vnni_rows := $(ISA_vnni)
X86        := $(findstring x86_64,$(shell $(CC) -dumpmachine))
isa = $(if $(X86),$(ISA_$(notdir $(1))))

# Loops over every cell of every token, which -O2 leaves scalar.
$(B)/data/trace_codec.o: OPT += -O3

$(B)/%.o: %.c $(B)/flags
	$(Q)mkdir -p $(@D)
	@$(if $(V),,echo "  CC    $<")
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(call isa,$*) -MMD -MP -c $< -o $@

# SQL as string literals, so that the schema is read and highlighted as SQL.
$(B)/%.sql.inc: %.sql
	$(Q)mkdir -p $(@D)
	$(Q)sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' $< > $@
$(B)/data/migrate.o: $(B)/data/schema.sql.inc

$(B)/libengine.a: $(call obj,$(ENGINE))
$(B)/libui.a: $(call obj,$(UI))
$(B)/libdata.a: $(call obj,$(DATA))
$(B)/libapp.a: $(call obj,$(APP))
$(B)/lib%.a:
	@$(if $(V),,echo "  AR    $@")
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/terra: $(B)/app/main.o $(LIBS)
	@$(if $(V),,echo "  LD    $@")
	$(Q)$(CC) $(LDFLAGS_ALL) $< $(LIBS) $(LIBS_ui) $(LIBS_data) $(LIBS_engine) -o $@

# A unit test links the layers that its own layer may use.
TESTLIBS_engine := $(B)/libengine.a
TESTLIBS_ui     := $(B)/libui.a $(B)/libengine.a
TESTLIBS_data   := $(B)/libdata.a $(B)/libengine.a
TESTLIBS_app    := $(LIBS)
TESTLD_engine   := $(LIBS_engine)
TESTLD_ui       := $(LIBS_ui) $(LIBS_engine)
TESTLD_data     := $(LIBS_data) $(LIBS_engine)
TESTLD_app      := $(LIBS_ui) $(LIBS_data) $(LIBS_engine)
define UNIT_RULE
$(B)/tests/unit/$(1)/%: $(B)/tests/unit/$(1)/%.o $$(TESTLIBS_$(1))
	@$$(if $$(V),,echo "  LD    $$@")
	$$(Q)$$(CC) $$(LDFLAGS_ALL) $$< $$(TESTLIBS_$(1)) $$(TESTLD_$(1)) -lcmocka -o $$@
endef
$(foreach l,engine ui data app,$(eval $(call UNIT_RULE,$(l))))

# A fuzz target replays its corpus under any compiler; `make fuzz` builds it with libFuzzer.
$(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/replay_main.o $(LIBS)
	@$(if $(V),,echo "  LD    $@")
	$(Q)$(CC) $(LDFLAGS_ALL) $< $(if $(FUZZING),-fsanitize=fuzzer,$(B)/tests/fuzz/replay_main.o) \
	    $(LIBS) $(LIBS_ui) $(LIBS_data) $(LIBS_engine) -o $@

-include $(shell find $(B) -type f -name '*.d' 2>/dev/null)

# ---- checking ----------------------------------------------------------------

FIXTURES := $(B)/fixtures/stamp
$(FIXTURES): $(wildcard data/convert/*.py tests/tools/*.py tests/golden/*/*)
	$(Q)mkdir -p $(@D)
	$(Q)$(PYTHON) tests/tools/prepare_fixtures.py $(@D)
	$(Q)$(PYTHON) tests/tools/make_ref_fixtures.py $(@D)/ref
	$(Q)touch $@

test: $(B)/terra $(UNIT_BIN) $(FUZZ_BIN) $(FIXTURES) ## run every test; last line: N passed, N failed
	$(Q)B=$(B) $(PYTHON) tests/run.py

unit: $(UNIT_BIN) $(FIXTURES) ## run the C unit tests alone
	$(Q)B=$(B) $(PYTHON) tests/run.py unit

test-%: $(B)/terra $(UNIT_BIN) $(FUZZ_BIN) $(FIXTURES) ## run one group, e.g. test-ui, test-e2e, test-parity
	$(Q)B=$(B) $(PYTHON) tests/run.py $*

e2e: test-e2e ## run the tmux tests alone

sanitize: ## the whole suite under ASan and UBSan, scalar BLAS
	$(Q)$(MAKE) --no-print-directory B=build/asan SAN=address,undefined BLAS=none OPT='-O1 -g' test

tsan: ## the whole suite under TSan
	$(Q)PATIENCE_S=180 $(MAKE) --no-print-directory B=build/tsan SAN=thread BLAS=none OPT='-O1 -g' test

fuzz: ## fuzz every parser for T= seconds each (clang)
	$(Q)$(MAKE) --no-print-directory B=build/fuzz CC=clang FUZZING=1 SAN=address,undefined \
	    CFLAGS=-fsanitize=fuzzer-no-link BLAS=none KERNELS=scalar OPT='-O1 -g' fuzz-run
.PHONY: fuzz-run
fuzz-run: $(FUZZ_BIN)
	$(Q)for f in $(FUZZ_BIN); do n=$$(basename $$f); mkdir -p $(B)/corpus/$$n; \
	    $$f -max_total_time=$(or $(T),30) $(B)/corpus/$$n tests/fuzz/corpus/$${n#fuzz_} || exit 1; done

bench: $(B)/terra ## speed: ratios with medians, on made-up weights
	$(Q)B=$(B) PYTHON=$(PYTHON) sh tests/bench/bench.sh

SOURCES := $(wildcard app/*.[ch] engine/*.[ch] engine/*/*.[ch] ui/*.[ch] data/*.[ch] tests/unit/*/*.[ch] tests/fuzz/*.[ch])
format: ## reformat the C sources
	clang-format -i $(SOURCES)

lint: $(B)/data/schema.sql.inc ## format, layers, shell, man pages, static analysis
	$(Q)B=$(B) CC=$(CC) PYTHON=$(PYTHON) sh tests/lint/lint.sh $(SOURCES)

man: $(B)/terra ## renew the key table of man/terra.1
	$(Q)$(PYTHON) tests/tools/man_keys.py $(B)/terra

cover: ## line coverage of the test suite (gcov)
	$(Q)$(MAKE) --no-print-directory B=build/cover OPT='-O0 -g --coverage' LDFLAGS=--coverage test
	$(Q)cd build/cover && gcov -r -s $(CURDIR) $$(find . -name '*.gcda') 2>/dev/null | \
	    awk '/^File/{f=$$2} /^Lines/{print $$2, f}' | sort -u

train-smoke: ## train a toy model for under two minutes on a CPU; its loss must fall
	$(Q)$(PYTHON) data/train/smoke.py

# ---- installing --------------------------------------------------------------

deps: ## install what is missing (apt), or print the package names
	$(Q)DEBS='$(DEBS)' sh tests/tools/deps.sh

install: $(B)/terra ## honours DESTDIR and PREFIX
	install -d $(bindir) $(datadir)/man/man1 $(datadir)/man/man5 $(datadir)/terra/models \
	    $(datadir)/doc/terra $(datadir)/bash-completion/completions \
	    $(datadir)/zsh/site-functions $(datadir)/fish/vendor_completions.d
	install -m 755 $(B)/terra $(bindir)/terra
	install -m 644 man/terra.1 $(datadir)/man/man1
	install -m 644 man/*.5 $(datadir)/man/man5
	install -m 644 data/model/MODEL.md $(datadir)/doc/terra
	for m in $(wildcard data/model/terra-*); do install -d $(datadir)/terra/models/$$(basename $$m) && \
	    install -m 644 $$m/* $(datadir)/terra/models/$$(basename $$m) || exit 1; done
	umask 022 && $(B)/terra completion bash > $(datadir)/bash-completion/completions/terra
	umask 022 && $(B)/terra completion zsh > $(datadir)/zsh/site-functions/_terra
	umask 022 && $(B)/terra completion fish > $(datadir)/fish/vendor_completions.d/terra.fish

uninstall: ## remove what install put there
	rm -f $(bindir)/terra $(datadir)/man/man1/terra.1 $(datadir)/man/man5/terra-*.5 \
	    $(datadir)/bash-completion/completions/terra $(datadir)/zsh/site-functions/_terra \
	    $(datadir)/fish/vendor_completions.d/terra.fish
	rm -rf $(datadir)/terra $(datadir)/doc/terra

deb: ## a Debian package in B/deb, checked with lintian where that is installed
	$(Q)VERSION=$(VERSION) MAKE='$(MAKE)' sh tests/tools/deb.sh $(B)/deb

clean: ## remove the build directory B
	rm -rf $(B)

help: ## this list
	@awk -F':.*## ' '/^[a-z0-9%-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
