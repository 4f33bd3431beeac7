#ifndef SEER_SETUP_H
#define SEER_SETUP_H

/*
 * What a new client takes from its options besides numbers: its callbacks and
 * defaults, and what tells its site from others. Where an option is not
 * given, a client that it is made of has the say.
 */

#include "client.h"
#include "core/http/site.h"

#pragma GCC visibility push(hidden)

/* Gives the client at `self` its callbacks, and copies of its defaults: those
   of the table of options (or nil) at `options`, or else those of the client
   at `from` (0: none). [-0, +0] */
void seer_setup_kept(lua_State *L, int self, int options, int from);

/* Changes `site`, which has what is so otherwise, to what the options say.
   The strings in it stay on the stack. [-0, +n] */
void seer_setup_site(lua_State *L, int options, const seer_settings *settings,
                     seer_site_options *site);

#pragma GCC visibility pop

#endif
