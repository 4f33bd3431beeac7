# make            the module for Lua 5.4 in build/5.4
# make LUA=x      for x = 5.1, 5.2, 5.3, 5.4 or luajit
# make all-lua    for all of them
# See CONTRIBUTING.md for the others.

LUA ?= 5.4
LUAS = 5.1 5.2 5.3 5.4 luajit

LUA_PACKAGE_luajit = luajit
LUA_PACKAGE = $(or $(LUA_PACKAGE_$(LUA)),lua$(LUA))
LUA_CFLAGS := $(shell pkg-config --cflags $(LUA_PACKAGE) 2>/dev/null)
CURL_CFLAGS := $(shell pkg-config --cflags libcurl 2>/dev/null)
CURL_LIBS := $(or $(shell pkg-config --libs libcurl 2>/dev/null),-lcurl)

CFLAGS ?= -O2 -g
WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes
HARDENING = -D_FORTIFY_SOURCE=2 -fstack-protector-strong
ALL_CFLAGS = -std=c99 -D_GNU_SOURCE -fPIC -fvisibility=hidden -pthread \
	$(WARNINGS) $(HARDENING) -Isrc $(LUA_CFLAGS) $(CURL_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = -shared -pthread -Wl,-z,nodelete -Wl,-z,relro -Wl,-z,now \
	$(LDFLAGS)

BUILD = build/$(LUA)$(SUFFIX)
SOURCES := $(sort $(wildcard src/*.c src/core/*.c))
OBJECTS = $(SOURCES:src/%.c=$(BUILD)/%.o)

$(BUILD)/seerstack.so: $(OBJECTS)
	$(CC) $(ALL_LDFLAGS) -o $@ $(OBJECTS) $(CURL_LIBS) -ldl -lm

$(BUILD)/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(OBJECTS:.o=.d)

all-lua:
	for lua in $(LUAS); do $(MAKE) --no-print-directory LUA=$$lua || exit; done

clean:
	rm -rf build

.PHONY: all-lua clean
