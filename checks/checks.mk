# What checks the module, beyond the Makefile, which includes this. When to use
# which is in CONTRIBUTING.md.

# What specs load beside the module: as it is, without sanitizers, for it may
# be preloaded into other programs. They stay, for threads may run in them when
# the state that loaded them is closed.
SPEC_LIBRARIES = $(patsubst spec/support/%.c,$(BUILD)/seer_spec_%.so, \
	$(wildcard spec/support/*.c))

$(BUILD)/seer_spec_store.so: src/core/store.h

$(BUILD)/seer_spec_%.so: spec/support/%.c
	@mkdir -p $(@D)
	$(CC) -std=c99 -D_GNU_SOURCE -O1 -g -fPIC -shared -fvisibility=hidden \
		-Wl,-z,nodelete -pthread $(WARNINGS) $(LUA_CFLAGS) -o $@ $< -ldl

# The tests of what needs neither Lua nor a network, with a clock of their own.
UNIT_OBJECTS = $(patsubst spec/%.c,$(CORE)/%.o,$(wildcard spec/unit/*.c))

$(CORE)/unit/%.o: spec/unit/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(UNIT_OBJECTS:.o=.d)

$(CORE)/unit/unit: $(UNIT_OBJECTS) $(CORE_OBJECTS)
	$(CC) -pthread $(LDFLAGS) -Wl,--wrap=seer_clock_now -o $@ $^ $(CURL_LIBS) \
		-ldl -lm

specs-ready: $(BUILD)/seerstack.so $(BUILD)/seerstack/sqlite.so \
	$(BUILD)/seerstack/redis.so $(SPEC_LIBRARIES) $(CORE)/unit/unit

test-unit: $(CORE)/unit/unit # run spec/unit alone; SEED=n repeats a run
	@$(CORE)/unit/unit

test-all: deps # all specs under all Luas
	@$(FOR_SPECS) && ALL=1 LUAS="$$luas" dev/test.sh $(SPEC)

test-store: deps # the specs, with a store behind every client; SPEC=path
	@$(QUIETLY) LUA=5.4 specs-ready && LUAS=5.4 STORE=1 dev/test.sh $(SPEC)

test-sqlite: deps # the specs of seerstack.sqlite
	@$(FOR_SPECS) && LUAS="$$luas" dev/test.sh $(or $(SPEC),spec/sqlite)

test-redis: deps # the specs of seerstack.redis
	@$(FOR_SPECS) && LUAS="$$luas" dev/test.sh $(or $(SPEC),spec/redis)

test-hosts: deps # run the specs in the programs that embed Lua
	@dev/deps.sh hosts
	@$(FOR_SPECS) && LUAS=5.4 dev/test.sh $(or $(SPEC),spec/hosts)

test-page: deps # run the specs of the page of seerstack listen, in Chromium
	@dev/deps.sh page
	@$(FOR_SPECS) && LUAS=5.4 dev/test.sh $(or $(SPEC),spec/page)

test-faults: deps # run the specs of what networks and servers do wrong
	@$(FOR_SPECS) && LUAS="$$luas" dev/test.sh $(or $(SPEC),spec/faults)

# On other systems: all of this again in a chroot that is made for it, under
# each of LUAS. What that takes is in checks/platforms/run.
DEBIAN13 = trixie amd64

test-debian13: # specs, hosts and linting on Debian 13; SPEC, TARGETS="test"
	@dev/deps.sh chroots
	@checks/platforms/run $(DEBIAN13) $(or $(TARGETS),test test-hosts lint) \
		LUAS="$(LUAS)" SPEC="$(SPEC)"

chroot-debian13: # what test-debian13 runs in
	@dev/deps.sh chroots
	@checks/platforms/run $(DEBIAN13) deps LUAS="5.4 luajit"

SID_LUAS = $(if $(filter file,$(origin LUAS)),5.4 luajit 5.5,$(LUAS))

# Debian has no lua-cjson for Lua 5.5, which the specs need. For chroots alone:
# it is installed there.
cjson-5.5: deps
	@checks/platforms/sources build/cjson lua-cjson/upstream
	@cd build/cjson/lua-cjson-*/ && $(CC) -O2 -w -fPIC -shared \
		$$(pkg-config --cflags lua5.5) -o cjson.so lua_cjson.c strbuf.c \
		fpconv.c && install -D -m 644 -t /usr/local/lib/lua/5.5 cjson.so

test-sid: # the specs with the newest libcurl, on Debian sid; SPEC=path, LUAS
	@dev/deps.sh chroots
	@checks/platforms/run sid amd64 $(if $(filter 5.5,$(SID_LUAS)),cjson-5.5) \
		test LUAS="$(SID_LUAS)" SPEC="$(SPEC)"

test-i386: # the specs in 32 bits, by the same processor; SPEC=path
	@dev/deps.sh chroots
	@checks/platforms/run bookworm i386 test LUAS="$(LUAS_I386)" SPEC="$(SPEC)"

LUAS_I386 = $(if $(filter file,$(origin LUAS)),5.4 luajit,$(LUAS))

# What another order of bytes and other processors may decide, by qemu.
# spec/unit_spec.lua takes six minutes there, so it has to be named.
FOREIGN_SPECS = $(addprefix spec/,encode_spec.lua \
	encode_array_spec.lua encode_number_spec.lua values_spec.lua \
	client_spec.lua client_capture_spec.lua client_wait_spec.lua \
	core/delivery_spec.lua)

test-arm64 test-s390x: test-%: deps
	@dev/deps.sh $*
	@checks/platforms/foreign $* $(or $(SPEC),$(FOREIGN_SPECS))

test-papers: # paste what the pages tell to into a bare system; TRACKS="make-5.4"
	@dev/deps.sh chroots
	@checks/papers/run $(TRACKS)

# What macOS and the BSDs have in the place of Linux's own means, on Linux.
PORTABLE = LUA=5.4 SUFFIX=-portable \
	CFLAGS="-O2 -g $(ASSERT) -DSEER_PORTABLE"
PORTABLE_SPECS = $(addprefix spec/core/,waiting_spec.lua exit_spec.lua \
	process_spec.lua fork_spec.lua fork_threads_spec.lua)

test-portable: deps # chosen specs, without the means that are Linux's alone
	@$(QUIETLY) $(PORTABLE) specs-ready
	@LUAS=5.4 SUFFIX=-portable dev/test.sh $(or $(SPEC),$(PORTABLE_SPECS))

# With musl in the place of glibc, and what checks/platforms/musl.mk builds.
MUSL_CURL = build/musl/curl
MUSL = LUA=5.4 SUFFIX=-musl LUA_CFLAGS=-Ibuild/musl/include/lua \
	CC="musl-gcc -isystem build/musl/include" CFLAGS="-O2 -g $(ASSERT)" \
	CURL_CFLAGS="-I$(MUSL_CURL)/include -DCURL_STATICLIB" \
	CURL_LIBS="-Wl,--exclude-libs,ALL $(MUSL_CURL)/lib/.libs/libcurl.a \
	$(addprefix build/musl/mbedtls/library/lib,mbedtls.a mbedx509.a \
	mbedcrypto.a)"
MUSL_SPECS = $(addprefix spec/,unit_spec.lua encode_spec.lua \
	encode_array_spec.lua encode_number_spec.lua values_spec.lua \
	client_spec.lua client_capture_spec.lua client_wait_spec.lua \
	pump_spec.lua core/delivery_spec.lua core/exit_spec.lua \
	core/fork_spec.lua core/fork_threads_spec.lua core/process_spec.lua \
	core/waiting_spec.lua core/lookup_spec.lua core/redirect_tls_spec.lua)
MUSL_LIBRARIES = native held_lock resolver threads slow_send crash forbidden

test-musl: deps # chosen specs, with musl
	@dev/deps.sh musl
	@mkdir -p build
	@$(QUIETLY) -f checks/platforms/musl.mk >build/musl.log 2>&1 || \
		{ tail build/musl.log; exit 1; }
	@$(QUIETLY) $(MUSL) build/5.4-musl/seerstack.so build/core-musl/unit/unit \
		$(MUSL_LIBRARIES:%=build/5.4-musl/seer_spec_%.so)
	@echo "skipped: HTTP/2 and gzip, which this libcurl has not; stores and" \
		"hosts, which are here for glibc alone; what MUSL_SPECS does not name"
	@PATH="$(CURDIR)/build/musl/bin:$$PATH" LIBC=musl LUAS=5.4 SUFFIX=-musl \
		dev/test.sh $(or $(SPEC),$(MUSL_SPECS))

check-macos: # whether the module compiles and links for macOS; nothing runs it
	@checks/platforms/macos

windows: # the module for Windows, Lua 5.4 and LuaJIT, in build/windows
	@dev/deps.sh windows
	@$(QUIETLY) -f checks/platforms/windows.mk WERROR=1

test-windows: deps windows # the specs of the module for Windows, under wine
	@for lua in 5.4 luajit; do $(QUIETLY) LUA=$$lua specs-ready || exit; done
	@LUAS="5.4 luajit" dev/test.sh $(or $(SPEC),spec/windows)

# Builds for tests check what comments promise (src/core/base/assert.h).
ASSERT = -DSEER_ASSERT
# Memory that is used again at once hides that something else still uses it.
NO_SPARES = -DSEER_SPARE_MOST=0

# The sanitizers see the module; the interpreters are the system's.
SANITIZED = LUA=5.4 SUFFIX=-$* HARDENING= LDFLAGS="$(FLAGS_$*)" \
	CFLAGS="-O1 -g -fno-omit-frame-pointer $(ASSERT) $(FLAGS_$*)"
FLAGS_asan = -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	$(NO_SPARES)
FLAGS_tsan = -fsanitize=thread

test-asan test-tsan: test-%: deps # the same, under a sanitizer
	@$(QUIETLY) $(SANITIZED) specs-ready
	@LUAS=5.4 SANITIZER=$* CC="$(CC)" dev/test.sh $(SPEC)

# Memcheck knows too little of what the optimizer and the hardening make.
VALGRIND = LUA=5.4 SUFFIX=-valgrind HARDENING= \
	CFLAGS="-O1 -g -fno-omit-frame-pointer $(ASSERT) $(NO_SPARES) \
	-DSEER_STORE_PATIENCE=20000"

test-valgrind: deps # the same, under valgrind's memcheck; SPEC=path restricts
	@dev/deps.sh valgrind
	@$(QUIETLY) $(VALGRIND) specs-ready
	@LUAS=5.4 SANITIZER=valgrind dev/test.sh $(SPEC)

# The program that makes calls fail. What it defines takes the place of the C
# library's and libcurl's, so it exports it, and nothing is built in.
TORTURE_LUAS = $(if $(filter file,$(origin LUAS)),5.4,$(LUAS))
LUA_LIBS := $(shell pkg-config --libs $(LUA_PACKAGE) 2>/dev/null)
TORTURE_SOURCES := $(sort $(wildcard checks/torture/*.c))

$(BUILD)/torture/host: $(TORTURE_SOURCES) checks/torture/torture.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -O1 -g -fno-builtin -pthread -rdynamic \
		-Wall -Wextra -Wshadow -Wstrict-prototypes $(LUA_CFLAGS) \
		$(CURL_CFLAGS) -o $@ $(TORTURE_SOURCES) $(LUA_LIBS) -ldl

torture-ready: $(BUILD)/torture/host specs-ready

torture: deps # make every call fail in turn; LUAS, SCENARIO, CLASS, MODE, N
	@for lua in $(TORTURE_LUAS); do \
		$(QUIETLY) LUA=$$lua torture-ready || exit; done
	@LUAS="$(TORTURE_LUAS)" lua5.4 checks/torture/run.lua

torture-sample: # the same in a minute: a few of them
	@$(SUBMAKE) torture SAMPLE=2 JOBS=6 MODE="once ever"

# The module's objects, a target's own, and what the targets share.
FUZZ_FLAGS = -fsanitize=address,undefined -fno-sanitize-recover=undefined
FUZZED = CC="$(FUZZ_CC)" SUFFIX=-fuzz HARDENING= CFLAGS="-O1 -g \
	-fno-omit-frame-pointer -fsanitize=fuzzer-no-link $(FUZZ_FLAGS) \
	$(ASSERT) $(NO_SPARES)"
FUZZ_CC = $(shell command -v clang-14 || echo clang)
FUZZERS = $(patsubst checks/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard checks/fuzz/*.c))
# Functions that a target has in its own way.
FUZZ_WRAP_options = seer_outgoing_preview getaddrinfo
FUZZ_WRAP_answer = seer_http_perform seer_http_poll socket
COMMA = ,
FUZZ_SHARED = $(patsubst checks/%.c,$(BUILD)/%.o, \
	$(wildcard checks/fuzz/support/*.c))

$(BUILD)/fuzz/%.o: checks/fuzz/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LUA_CFLAGS) -MMD -MP -c -o $@ $<

-include $(FUZZ_SHARED:.o=.d) $(FUZZERS:%=%.d)

$(BUILD)/fuzz/%: $(BUILD)/fuzz/%.o $(FUZZ_SHARED) $(OBJECTS)
	$(CC) $(CFLAGS) -fsanitize=fuzzer -pthread \
		$(addprefix -Wl$(COMMA)--wrap=,$(FUZZ_WRAP_$(@F))) -o $@ $^ \
		$(shell pkg-config --libs $(LUA_PACKAGE)) $(CURL_LIBS) -ldl -lm

fuzzers: $(FUZZERS)

.SECONDARY: $(FUZZERS:%=%.o) $(FUZZ_SHARED)

fuzz fuzz-replay fuzz-merge: # fuzz for SECONDS=60, or replay, or keep finds
	@dev/deps.sh fuzz
	@$(QUIETLY) $(FUZZED) fuzzers
	@FUZZ="$(FUZZ)" checks/fuzz.sh $@ $(LUA) $(SECONDS)

mutants: deps # plant defects that specs must catch; MUTANTS="text..."
	@$(QUIETLY) LUA=5.4 specs-ready
	@LUA_PATH="./?.lua;;" lua5.4 checks/mutants/run.lua $(MUTANTS)

storm: deps # minutes of processes with one key; STORM="kills apache"
	@$(FOR_SPECS)
	@LUA_PATH="./?.lua;;" LUA_CPATH="build/5.4/?.so;;" \
		lua5.4 checks/storm.lua $(STORM)

storm-store: deps # processes with one store are killed; KILLS=2000, STORE=redis
	@$(QUIETLY) LUA=5.4 specs-ready
	@LUA_PATH="./?.lua;;" LUA_CPATH="build/5.4/?.so;;" \
		lua5.4 checks/storm_store.lua $(or $(KILLS),2000) $(STORE)

backlog-store: deps # a store with a million events drains; EVENTS=n
	@$(QUIETLY) LUA=5.4 specs-ready
	@LUA_PATH="./?.lua;;" LUA_CPATH="build/5.4/?.so;;" \
		lua5.4 checks/backlog_store.lua $(EVENTS)

soak: deps # many events through a server that flaps; EVENTS=n
	@$(QUIETLY) LUA=5.4 specs-ready
	@EVENTS="$(EVENTS)" checks/soak.sh

lint: # check formatting, Lua sources, rockspec, scripts and warnings
	@dev/deps.sh lint
	clang-format --dry-run -Werror \
		$$(find src checks/fuzz spec/unit bench -name '*.[ch]')
	luacheck --quiet --no-color \
		bench bin bin/seerstack checks dev examples library spec
	for rockspec in rockspec/*.rockspec; do \
		luarocks lint $$rockspec || exit; done
	@$(QUIETLY) all-lua SUFFIX=-lint WERROR=1
	@! command -v clang >/dev/null || \
		$(QUIETLY) all-lua SUFFIX=-clang WERROR=1 CC=clang
	@! command -v shellcheck >/dev/null || \
		shellcheck dev/*.sh checks/*.sh checks/*/*.sh checks/*/run \
			checks/platforms/macos checks/platforms/sources \
			checks/platforms/foreign \
			bench/*.sh .ci/run

analyze: # have gcc's analyzer and clang-tidy look for bugs
	@dev/deps.sh analyze
	@checks/analyze.sh \
		$(filter-out -fPIC -W%,$(ALL_CFLAGS) $(LUA_CFLAGS))

BENCH_BUILD = build/bench/$(LUA)

$(BENCH_BUILD)/seer_bench_%.so: bench/support/%.c
	@mkdir -p $(@D)
	$(CC) -std=c99 -D_GNU_SOURCE -O2 -g -fPIC -shared -fvisibility=hidden \
		$(WARNINGS) $(LUA_CFLAGS) $(CURL_CFLAGS) -Wl,--as-needed \
		-o $@ $< $(CURL_LIBS)

build/bench/multi: bench/multi.c
	@mkdir -p $(@D)
	$(CC) -std=c99 -D_GNU_SOURCE -O2 -g $(WARNINGS) -Isrc $(CURL_CFLAGS) \
		-o $@ $< $(CURL_LIBS)

bench-ready: $(BUILD)/seerstack.so sqlite redis \
	$(BENCH_BUILD)/seer_bench_native.so $(BUILD)/seer_spec_native.so \
	$(BUILD)/seer_spec_wall_clock.so \
	$(BENCH_BUILD)/seer_bench_curl.so build/bench/multi \
	$(BENCH_BUILD)/seer_bench_threads.so

bench: deps # measure, and print a table; ROWS="capture drain", QUICK=1, KEEP=1
	@dev/deps.sh bench
	@for lua in 5.4 luajit; do $(QUIETLY) LUA=$$lua bench-ready || exit; done
	@ROWS="$(ROWS)" QUICK="$(QUICK)" KEEP="$(KEEP)" bench/run.sh

bench-debian13: # the same on Debian 13, in the chroot of test-debian13
	@dev/deps.sh chroots
	@mkdir -p build/bench
	@checks/platforms/run $(DEBIAN13) bench ROWS="$(ROWS)" QUICK="$(QUICK)" \
		>build/bench/debian13.log; status=$$?; cat build/bench/debian13.log; \
		[ -z "$(KEEP)" ] || [ $$status != 0 ] || \
			bench/keep.sh "table of Debian 13" <build/bench/debian13.log; \
		exit $$status

bench-instructions: deps # count capture's; UPDATE=1 keeps the counts
	@dev/deps.sh instructions
	@for lua in 5.4 luajit; do \
		$(QUIETLY) LUA=$$lua && $(QUIETLY) LUA=$$lua sqlite || exit; done
	@UPDATE="$(UPDATE)" lua5.4 bench/instructions.lua

.PHONY: specs-ready test-unit test-portable check-macos windows test-windows \
	test-all test-store test-sqlite test-redis test-hosts test-page test-faults \
	test-debian13 chroot-debian13 cjson-5.5 test-sid test-i386 test-arm64 \
	test-s390x test-musl test-papers test-asan test-tsan \
	test-valgrind torture-ready torture torture-sample fuzzers fuzz \
	fuzz-replay fuzz-merge mutants soak storm \
	storm-store backlog-store lint analyze bench-ready bench bench-debian13 \
	bench-instructions
