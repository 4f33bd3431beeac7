#pragma once

/*
 * Threads and the lock.
 *
 * There is one lock in the process. It guards queues, clients, endpoints
 * and counts, and is held for pointer moves only: no allocation, no
 * libcurl, no stdio and no Lua happens under it. With one lock there is no
 * order of locks to get wrong.
 */

#include <stdbool.h>
#include <stdint.h>

void seer_lock(void);
bool seer_lock_at_once(void); /* unless somebody has it */
void seer_unlock(void);

/* For assertions alone: whether the caller holds it. */
bool seer_lock_is_held(void);

/* As seer_lock, but returns false if it is the caller who holds it, having
   been interrupted by a signal whose handler ends the process. On a starved
   machine another thread may hold it for long; there is an end to waiting for
   that, too, where the system has such locks. */
bool seer_lock_soon(void);

/* As seer_lock, but returns false if it is the caller who holds it. */
bool seer_lock_unless_held(void);

/* With the lock held: gives it up until seer_wake is called or `deadline`
   (monotonic ms, or SEER_NEVER) is reached, then has it again. May return
   early: callers test their condition in a loop. Whoever never comes back
   from here, for a signal's handler ends the process or a child was made
   without handlers of fork, leaves nothing that others wait for. */
void seer_wait(int64_t deadline);

/* The same, and the thread may be cancelled meanwhile: for who has nothing
   to undo then. */
void seer_wait_cancellable(int64_t deadline);

/* With the lock held: wakes all who are in seer_wait. */
void seer_wake(void);

/* What tells threads apart; 0 is none. Safe in a handler of a signal. */
typedef uintptr_t seer_thread_id;
seer_thread_id seer_thread_self(void);

/* Starts a detached thread with every signal blocked, except those that a
   thread raises in itself: by a crash, a trap or a forbidden system call.
   False if the system refuses. */
bool seer_thread_start(void *(*run)(void *), void *argument);

/* Runs `task` once, whichever thread asks first; others wait for it. */
void seer_once(void (*task)(void));

/* From now on the lock is this process's; and whether it is another's, whose
   child this is, made without handlers of fork. */
void seer_lock_own(void);
bool seer_lock_is_copy(void);

/* In the child of a fork, which has one thread: makes the lock new. False if
   somebody held it at that moment: then what it guards may be in the middle of
   a change. */
bool seer_lock_renew(void);

/* For when nothing else can be waited for: some milliseconds, so that trying
   again does not take a whole processor. */
void seer_pause(void);
