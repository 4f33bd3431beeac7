# What the module is tested with on musl: Lua 5.4, libcurl, mbedTLS and modules
# in C that the specs load, all from source packages of Debian. The interpreter
# is build/musl/bin/lua5.4. What is written in Lua alone is the system's.
#   make -f checks/platforms/musl.mk

CC = musl-gcc
OUT = build/musl
SOURCES = $(OUT)/sources
ROOT = $(abspath $(OUT))
MODULES = $(OUT)/lib
LUA = $(SOURCES)/lua-5.4.*/src
COMPILE = $(CC) -O2 -fPIC -D_GNU_SOURCE -I$$(echo $(LUA))

all: $(OUT)/bin/lua5.4 $(OUT)/include/lua $(OUT)/curl/lib/.libs/libcurl.a \
	$(MODULES)/system.lua $(addprefix $(MODULES)/,cjson.so lfs.so \
	term/core.so socket/core.so mime/core.so socket/unix.so)

# Unpacked there is each package in a directory whose name has its version. Of
# those with "upstream" archives may lack what Debian has added.
$(SOURCES)/fetched:
	@checks/platforms/sources $(SOURCES) lua5.4/upstream curl mbedtls lua-cjson \
		lua-filesystem luasocket/upstream lua-term/upstream
	@touch $@

# Where the module finds Lua's headers, and Linux's own, which musl-gcc hides.
$(OUT)/include/lua: $(SOURCES)/fetched
	@mkdir -p $(@D)
	ln -sfn /usr/include/linux /usr/include/asm-generic \
		/usr/include/$$(gcc -print-multiarch)/asm $(@D)
	ln -sfn $$(realpath $(LUA)) $@

# Modules in C of the system's are for glibc.
SHARE = /usr/share/lua/5.4
SCRIPTS = $(ROOT)/lib/?.lua;$(SHARE)/?.lua;$(SHARE)/?/init.lua;./?.lua
PATHS = -DLUA_PATH_DEFAULT='"$(SCRIPTS)"' \
	-DLUA_CPATH_DEFAULT='"$(ROOT)/lib/?.so"'

$(OUT)/bin/lua5.4: $(SOURCES)/fetched
	@mkdir -p $(@D)
	$(COMPILE) -DLUA_USE_LINUX -DLUA_COMPAT_5_3 $(PATHS) -Wl,-E -o $@ \
		$$(ls $(LUA)/*.c | grep -v '/luac\.c$$') -lm

$(OUT)/mbedtls/library/libmbedtls.a: $(SOURCES)/fetched
	rm -rf $(OUT)/mbedtls
	cp -r $(SOURCES)/mbedtls-* $(OUT)/mbedtls
	+CFLAGS='-O1 -fPIC' $(MAKE) -C $(OUT)/mbedtls/library CC=$(CC) static

# Of what libcurl can be built with, what the module needs.
WITHOUT = zlib brotli zstd libpsl nghttp2 libidn2 librtmp
DISABLED = shared ldap manual ftp file rtsp dict telnet tftp pop3 imap smb \
	smtp gopher mqtt ntlm

$(OUT)/curl/configured: $(OUT)/mbedtls/library/libmbedtls.a
	rm -rf $(OUT)/curl
	cp -r $(SOURCES)/curl-[0-9]* $(OUT)/curl
	cd $(OUT)/curl && ./configure --quiet CC=$(CC) CFLAGS='-O1 -fPIC' \
		CPPFLAGS=-I$(ROOT)/mbedtls/include \
		LDFLAGS=-L$(ROOT)/mbedtls/library --with-mbedtls \
		$(WITHOUT:%=--without-%) $(DISABLED:%=--disable-%) \
		--with-ca-bundle=/etc/ssl/certs/ca-certificates.crt
	touch $@

$(OUT)/curl/lib/.libs/libcurl.a: $(OUT)/curl/configured
	+$(MAKE) --quiet -C $(OUT)/curl/lib libcurl.la

# What the specs load.
MODULE = @mkdir -p $(@D) && $(COMPILE) -shared -o $@

$(MODULES)/cjson.so: $(SOURCES)/fetched
	$(MODULE) $(addprefix $(SOURCES)/lua-cjson-*/,lua_cjson.c strbuf.c fpconv.c)

$(MODULES)/lfs.so: $(SOURCES)/fetched
	$(MODULE) $(SOURCES)/lua-filesystem-*/src/lfs.c

$(MODULES)/term/core.so: $(SOURCES)/fetched
	$(MODULE) $(SOURCES)/lua-term-*/core.c

SOCKET = buffer auxiliar options timeout io usocket compat
$(MODULES)/socket/core.so: PARTS = luasocket tcp udp inet select except
$(MODULES)/mime/core.so: PARTS = mime
$(MODULES)/socket/unix.so: PARTS = unix unixdgram unixstream
$(MODULES)/socket/core.so $(MODULES)/mime/core.so $(MODULES)/socket/unix.so: \
		$(SOURCES)/fetched
	$(MODULE) -DLUASOCKET_NODEBUG \
		$(patsubst %,$(SOURCES)/luasocket-*/src/%.c,$(SOCKET) $(PARTS))

# Of the module "system", of which the archive has no source, what busted uses.
$(MODULES)/system.lua:
	@mkdir -p $(@D)
	printf '%s\n' 'local socket = require "socket"' 'return {' \
		'  gettime = socket.gettime, monotime = socket.gettime,' \
		'  sleep = socket.sleep,' '}' >$@

.PHONY: all
