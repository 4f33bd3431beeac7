#ifndef SEER_ASCII_H
#define SEER_ASCII_H

/*
 * Letters as protocols mean them, whatever the locale makes of them.
 */

static inline char seer_lower(char byte) {
  return byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
}

#endif
