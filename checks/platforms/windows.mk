# The module for Windows on x86-64, with its own libcurl, which uses Schannel;
# and what it is tested with: Lua 5.4 and lua-cjson. All of these are from
# Debian's source packages, and for GCC of mingw-w64.
#   make -f checks/platforms/windows.mk
# The libcurl is linked in, and so are zlib and GCC's libraries.

TRIPLE = x86_64-w64-mingw32
CC = $(TRIPLE)-gcc-posix
OUT = build/windows
SOURCES = $(OUT)/sources
CFLAGS ?= -O2 -g
WINDOWS_LIBS = -lz -lws2_32 -lcrypt32 -lbcrypt -ladvapi32 -lsynchronization

all: $(addprefix $(OUT)/5.4/,lua cjson.dll seerstack.dll windows_end.dll)

# What the specs load.
$(OUT)/5.4/windows_end.dll: spec/windows/windows_end.c
	@mkdir -p $(@D)
	$(CC) -shared -o $@ $<

# Runs an interpreter under wine, where it finds the module; the system's files
# are on drive Z.
define RUN
#!/bin/sh
export WINEPREFIX='$(abspath $(OUT))/prefix' WINEARCH=win64
export WINEDEBUG="$${WINEDEBUG:--all}" WINEDLLOVERRIDES="mscoree=;mshtml="
unset LUA_PATH
export LUA_CPATH='Z:$(abspath $(@D))/?.dll'
PATH=$$PATH:/usr/lib/wine
exec wine64 '$(abspath $(@D))/lua.exe' "$$@"
endef

$(OUT)/5.4/lua: $(OUT)/5.4/lua.exe
	$(file >$@,$(RUN))
	chmod +x $@
	$@ -e 'print(_VERSION)'

# Unpacked there is each package in a directory whose name has its version.
$(SOURCES)/fetched:
	@checks/platforms/windows fetch $(SOURCES) lua5.4 curl lua-cjson
	@touch $@

# The libraries.
CURL_OBJECTS = $(OUT)/curl/lib/$(TRIPLE)

$(OUT)/curl/lib/libcurl.a: $(SOURCES)/fetched
	rm -rf $(OUT)/curl
	cp -r $(SOURCES)/curl-[0-9]* $(OUT)/curl
	mkdir -p $(CURL_OBJECTS)
	+CFLAGS=-O1 CPPFLAGS=-DHTTP_ONLY $(MAKE) -C $(OUT)/curl/lib \
		-f Makefile.mk CC=$(CC) AR=$(TRIPLE)-ar RC=$(TRIPLE)-windres \
		CFG=-schannel-sspi-zlib-ipv6-unicode ZLIB_PATH=/usr/$(TRIPLE) \
		libcurl.a

$(OUT)/5.4/lua54.dll: $(SOURCES)/fetched
	@mkdir -p $(@D)
	$(CC) -O2 -DLUA_BUILD_AS_DLL -DLUA_COMPAT_5_3 -shared -static -o $@ \
		$$(ls $(SOURCES)/lua5.4-*/src/*.c | grep -v '/luac*\.c$$')

$(OUT)/5.4/lua.exe: $(OUT)/5.4/lua54.dll
	$(CC) -O2 -o $@ $(SOURCES)/lua5.4-*/src/lua.c $<

# The module. What it exports is one function.
C_FILES := $(wildcard src/*.c src/core/*.c src/core/*/*.c)
H_FILES := $(wildcard src/*.h src/core/*.h src/core/*/*.h)
FLAGS = -std=c99 -D_GNU_SOURCE -DCURL_STATICLIB -Wall -Wextra -Wpedantic \
	-Wshadow -Wstrict-prototypes -Wno-attributes $(if $(WERROR),-Werror) \
	-Isrc -I$(OUT)/curl/include $(CFLAGS)

$(OUT)/core/%.o: src/core/%.c $(H_FILES) | $(OUT)/curl/lib/libcurl.a
	@mkdir -p $(@D)
	$(CC) $(FLAGS) -c -o $@ $<

CORE := $(patsubst src/core/%.c,$(OUT)/core/%.o,$(filter src/core/%,$(C_FILES)))

LUA = $(SOURCES)/lua5.4-*/src

$(OUT)/5.4/objects/%.o: src/%.c $(H_FILES) | $(OUT)/5.4/lua54.dll \
		$(OUT)/curl/lib/libcurl.a
	@mkdir -p $(@D)
	$(CC) $(FLAGS) -I$$(echo $(LUA)) -c -o $@ $<

$(OUT)/5.4/cjson.dll: $(OUT)/5.4/lua54.dll
	$(CC) -O2 -DDISABLE_INVALID_NUMBERS -I$$(echo $(LUA)) -shared -static \
		-o $@ $(addprefix $(SOURCES)/lua-cjson-*/,lua_cjson.c strbuf.c \
		fpconv.c) $<

$(OUT)/5.4/seerstack.dll: $(CORE) $(patsubst src/%.c, \
		$(OUT)/5.4/objects/%.o,$(filter-out src/core/%,$(C_FILES)))
	printf 'EXPORTS\nluaopen_seerstack\n' >$(OUT)/5.4/seerstack.def
	$(CC) -shared -static -o $@ $^ $(OUT)/5.4/seerstack.def \
		$(OUT)/curl/lib/libcurl.a $(OUT)/5.4/lua54.dll $(WINDOWS_LIBS)

.PHONY: all
