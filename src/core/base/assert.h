#pragma once

/*
 * What comments promise of locks and invariants, checked in builds for tests
 * (SEER_ASSERT is defined) and nowhere else: a library does not end its
 * host's process. Elsewhere the condition is compiled, but never computed.
 */

#ifdef SEER_ASSERT
#undef NDEBUG
#include <assert.h>
#define seer_assert(condition) assert(condition)
#else
#define seer_assert(condition) ((void)(0 && (condition)))
#endif
