# The module for Windows on x86-64, with its own libcurl, which uses Schannel;
# and what it is tested with: Lua 5.4, LuaJIT and lua-cjson. All of these are
# from Debian's source packages, and for GCC of mingw-w64.
#   make -f checks/platforms/windows.mk
# The libcurl is linked in, and so are zlib and GCC's libraries.

TRIPLE = x86_64-w64-mingw32
CC = $(TRIPLE)-gcc-posix
OUT = build/windows
SOURCES = $(OUT)/sources
CFLAGS ?= -O2 -g
WINDOWS_LIBS = -lz -lws2_32 -lcrypt32 -lbcrypt -ladvapi32 -lsynchronization

all: $(foreach lua,5.4 luajit,$(addprefix $(OUT)/$(lua)/,lua cjson.dll \
	seerstack.dll windows_end.dll))

# Of each Lua: its library, and where its headers are.
DLL_5.4 = $(OUT)/5.4/lua54.dll
DLL_luajit = $(OUT)/luajit/lua51.dll
HEADERS_5.4 = $(SOURCES)/lua5.4-*/src
HEADERS_luajit = $(OUT)/luajit-source/src

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

$(OUT)/%/lua: $(OUT)/%/lua.exe
	$(file >$@,$(RUN))
	chmod +x $@
	$@ -e 'print(_VERSION, jit and jit.version)'

# Unpacked there is each package in a directory whose name has its version.
$(SOURCES)/fetched:
	@checks/platforms/sources $(SOURCES) lua5.4 luajit curl lua-cjson
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

$(OUT)/luajit/lua51.dll: $(SOURCES)/fetched
	@mkdir -p $(@D)
	rm -rf $(OUT)/luajit-source
	cp -r $(SOURCES)/luajit-* $(OUT)/luajit-source
	+$(MAKE) -C $(OUT)/luajit-source/src HOST_CC=gcc CROSS=$(TRIPLE)- \
		TARGET_SYS=Windows Q=
	cp $(OUT)/luajit-source/src/lua51.dll $@

$(OUT)/luajit/lua.exe: $(OUT)/luajit/lua51.dll
	cp $(OUT)/luajit-source/src/luajit.exe $@

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

CJSON = $(SOURCES)/lua-cjson-*
OWN_luajit = own_# what lua-cjson has for any Lua 5.1, this one has itself

define FOR_LUA
$(OUT)/$(1)/objects/%.o: src/%.c $(H_FILES) | $(DLL_$(1)) \
		$(OUT)/curl/lib/libcurl.a
	@mkdir -p $$(@D)
	$(CC) $(FLAGS) -I$$$$(echo $(HEADERS_$(1))) -c -o $$@ $$<

$(OUT)/$(1)/seerstack.dll: $(CORE) $(patsubst src/%.c, \
		$(OUT)/$(1)/objects/%.o,$(filter-out src/core/%,$(C_FILES)))
	printf 'EXPORTS\nluaopen_seerstack\n' >$(OUT)/$(1)/seerstack.def
	$(CC) -shared -static -o $$@ $$^ $(OUT)/$(1)/seerstack.def \
		$(OUT)/curl/lib/libcurl.a $(DLL_$(1)) $(WINDOWS_LIBS)

# What the specs load.
$(OUT)/$(1)/cjson.dll: $(DLL_$(1))
	sed 's/luaL_setfuncs/$(OWN_$(1))&/' $(CJSON)/lua_cjson.c >$$(@D)/cjson.c
	$(CC) -O2 -w -DDISABLE_INVALID_NUMBERS -I$$$$(echo $(CJSON)) \
		-I$$$$(echo $(HEADERS_$(1))) -shared -static -o $$@ $$(@D)/cjson.c \
		$(CJSON)/strbuf.c $(CJSON)/fpconv.c $$<

$(OUT)/$(1)/windows_end.dll: spec/windows/windows_end.c
	@mkdir -p $$(@D)
	$(CC) -shared -o $$@ $$<
endef

$(foreach lua,5.4 luajit,$(eval $(call FOR_LUA,$(lua))))

.PHONY: all
