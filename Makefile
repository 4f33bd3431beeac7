# make            the module for Lua 5.4 in build/5.4
# make LUA=x      for x = 5.1, 5.2, 5.3, 5.4, 5.5 or luajit
# make help       lists the rest; see CONTRIBUTING.md

LUA ?= 5.4
LUAS ?= 5.1 5.2 5.3 5.4 luajit

LUA_PACKAGE_luajit = luajit
LUA_PACKAGE = $(or $(LUA_PACKAGE_$(LUA)),lua$(LUA))
LUA_PROGRAM_luajit = luajit
LUA_PROGRAM = $(or $(LUA_PROGRAM_$(LUA)),lua$(LUA))
LUA_CFLAGS := $(shell pkg-config --cflags $(LUA_PACKAGE) 2>/dev/null)
CURL_CFLAGS := $(shell pkg-config --cflags libcurl 2>/dev/null)
CURL_LIBS := $(or $(shell pkg-config --libs libcurl 2>/dev/null),-lcurl)

CFLAGS ?= -O2 -g
WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
	$(if $(WERROR),-Werror)
HARDENING = -D_FORTIFY_SOURCE=2 -fstack-protector-strong
# Files and times have 64 bits everywhere.
WIDE = -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64
ALL_CFLAGS = -std=c99 -D_GNU_SOURCE $(WIDE) -fPIC -fvisibility=hidden -pthread \
	$(WARNINGS) $(HARDENING) -Isrc $(CURL_CFLAGS) $(CFLAGS)
# A capture calls many of Lua's functions: without the linker's table between.
CALLS = -fno-plt
ALL_LDFLAGS = -shared -pthread -Wl,-z,nodelete -Wl,-z,relro -Wl,-z,now \
	$(LDFLAGS)

# The core knows no Lua, and so is compiled once for all.
BUILD = build/$(LUA)$(SUFFIX)
CORE = build/core$(SUFFIX)
CORE_OBJECTS := $(patsubst src/core/%.c,$(CORE)/%.o, \
	$(wildcard src/core/*.c src/core/*/*.c))
OBJECTS := $(patsubst src/%.c,$(BUILD)/%.o,$(wildcard src/*.c)) $(CORE_OBJECTS)

$(BUILD)/seerstack.so: $(OBJECTS)
	$(CC) $(ALL_LDFLAGS) -o $@ $(OBJECTS) $(CURL_LIBS) -ldl -lm

$(BUILD)/%.o: src/%.c | $(BUILD)/found
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(CALLS) $(LUA_CFLAGS) -MMD -MP -c -o $@ $<

$(CORE)/%.o: src/core/%.c | $(BUILD)/found
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Stores are modules of their own, which share no symbol with this one.
SQLITE_OBJECTS := $(patsubst src/%.c,$(BUILD)/%.o,$(wildcard src/sqlite/*.c))

sqlite: $(BUILD)/seerstack/sqlite.so # the module seerstack.sqlite

$(BUILD)/seerstack/sqlite.so: $(SQLITE_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $(SQLITE_OBJECTS) -lsqlite3

REDIS_OBJECTS := $(patsubst src/%.c,$(BUILD)/%.o,$(wildcard src/redis/*.c))

# hiredis takes a struct timeval, which is the system's.
$(REDIS_OBJECTS): WIDE =

redis: $(BUILD)/seerstack/redis.so # the module seerstack.redis

# TLS where hiredis has it.
REDIS_TLS := $(shell pkg-config --libs hiredis_ssl openssl 2>/dev/null)
$(BUILD)/redis/tls.o: CFLAGS += $(if $(REDIS_TLS),-DSEER_REDIS_TLS)

$(BUILD)/seerstack/redis.so: $(REDIS_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $(REDIS_OBJECTS) $(REDIS_TLS) -lhiredis

# Whether the compiler finds what is not ours, or else what Debian calls it. Of
# LuaJIT there are two, of which nginx's Lua module needs this one.
DEBIAN_5.1 = liblua5.1-0-dev
DEBIAN_luajit = libluajit2-5.1-dev (from Debian 13 on libluajit-5.1-dev)
DEBIAN_LUA = $(or $(DEBIAN_$(LUA)),liblua$(LUA)-dev)
FINDS = printf '\#include <%s>\n' $(1) | \
	$(CC) $(LUA_CFLAGS) $(CURL_CFLAGS) $(CFLAGS) -E - >/dev/null 2>&1
OR_SAY = || { echo "There is no $(1). On Debian install $(2)." >&2; exit 1; }

$(BUILD)/found:
	@mkdir -p $(@D)
	@command -v $(firstword $(CC)) >/dev/null $(call OR_SAY,$(CC),gcc)
	@$(call FINDS,stdlib.h) $(call OR_SAY,stdlib.h,libc6-dev)
	@$(call FINDS,curl/curl.h) \
		$(call OR_SAY,curl/curl.h,libcurl4-openssl-dev)
	@$(call FINDS,lua.h) $(call OR_SAY,lua.h for Lua $(LUA),$(DEBIAN_LUA) and \
		pkg-config; elsewhere set LUA_CFLAGS=-I<the directory of lua.h>)
	@touch $@

-include $(OBJECTS:.o=.d) $(SQLITE_OBJECTS:.o=.d) $(REDIS_OBJECTS:.o=.d)

all-lua: # the module for every Lua
	@for lua in $(LUAS); do $(MAKE) --no-print-directory LUA=$$lua || exit; done

# What pkg-config knows is asked when make starts, so whatever installs
# packages first has to build in a second make.
SUBMAKE = $(MAKE) --no-print-directory
QUIETLY = $(SUBMAKE) --quiet -j$$(nproc)

# Those of LUAS that are here, in $$luas, each with what the specs load.
FOR_SPECS = luas=$$(dev/luas.sh $(LUAS)) && \
	for lua in $$luas; do $(QUIETLY) LUA=$$lua specs-ready || exit; done

deps: # install the packages that are missing
	@LUAS="$(LUAS)" dev/deps.sh $(FOR)

quickstart: # run examples/quickstart.lua and show what arrives
	@LUAS=$(LUA) dev/deps.sh quickstart
	@$(QUIETLY)
	@$(SUBMAKE) --quiet run-quickstart

QUICKSTART = $(LUA_PROGRAM) examples/quickstart.lua
LISTEN = $(LUA_PROGRAM) bin/seerstack listen

# On a terminal the page stays until Ctrl-C.
run-quickstart:
	@export LUA_CPATH="$(BUILD)/?.so;;"; \
	if [ -n "$$SEERSTACK_API_KEY" ]; then $(QUICKSTART); \
	elif [ -t 1 ]; then $(LISTEN) --stay -- $(QUICKSTART); \
	else $(LISTEN) --port 0 -- $(QUICKSTART) && \
		echo "To see it on a page: $(LUA_PROGRAM) bin/seerstack listen"; fi

test: deps # run the specs; LUAS="5.4 luajit" and SPEC=path restrict them
	@$(FOR_SPECS) && LUAS="$$luas" dev/test.sh $(SPEC)

standin: # run the stand-in for the API until interrupted
	@LUAS=$(LUA) dev/deps.sh standin
	@$(LUA_PROGRAM) dev/standin.lua

PREFIX ?= /usr/local
LUA_ABI = $(if $(filter luajit,$(LUA)),5.1,$(LUA))
INST_LIBDIR ?= $(PREFIX)/lib/lua/$(LUA_ABI)
INST_LUADIR ?= $(PREFIX)/share/lua/$(LUA_ABI)
INST_BINDIR ?= $(PREFIX)/bin
TOOL = $(DESTDIR)$(INST_LUADIR)/seerstack/tool

OR_PREFIX = || { echo "This needs root, or a directory of yours:" \
	"make $@ LUA=$(LUA) PREFIX=\$$HOME/.local" >&2; exit 1; }
MODULE = $(DESTDIR)$(INST_LIBDIR)/seerstack.so
STORES = $(DESTDIR)$(INST_LIBDIR)/seerstack
COMMAND = $(DESTDIR)$(INST_BINDIR)/seerstack

install: $(BUILD)/seerstack.so # copy the module, and the command, to PREFIX
	@install -D -m 755 $(BUILD)/seerstack.so $(MODULE) $(OR_PREFIX)
	@echo "Installed: $(MODULE)"
	@if command -v $(LUA_PROGRAM) >/dev/null; then $(SUBMAKE) install-tool; \
	else echo "Not installed: the command, for there is no $(LUA_PROGRAM)." \
		"In this directory lua5.4 bin/seerstack is the same."; fi

install-tool:
	@install -d $(TOOL) $(DESTDIR)$(INST_BINDIR) $(OR_PREFIX)
	@install -m 644 bin/lib/seerstack/tool/* $(TOOL)
	@sed '1s/lua$$/$(LUA_PROGRAM)/' bin/seerstack >$(COMMAND)
	@chmod 755 $(COMMAND)
	@echo "Installed: $(COMMAND), for $(LUA_PROGRAM)"

install-sqlite: $(BUILD)/seerstack/sqlite.so # copy seerstack.sqlite to PREFIX
	@install -D -m 755 $< $(STORES)/sqlite.so $(OR_PREFIX)
	@echo "Installed: $(STORES)/sqlite.so"

install-redis: $(BUILD)/seerstack/redis.so # copy seerstack.redis to PREFIX
	@install -D -m 755 $< $(STORES)/redis.so $(OR_PREFIX)
	@echo "Installed: $(STORES)/redis.so"

uninstall: # remove what install, install-sqlite and -redis have copied for this LUA
	@rm -rf $(dir $(TOOL)) $(MODULE) $(STORES) $(COMMAND) $(OR_PREFIX)

clean: # remove what was built
	rm -rf build

help: # this list
	@sed -n 's/^\([a-z][a-z -]*\):.* # \(.*\)/\1: \2/p' Makefile checks/checks.mk

include checks/checks.mk

.PHONY: sqlite redis all-lua deps quickstart run-quickstart standin test \
	install install-tool install-sqlite install-redis uninstall clean help
