-- Which specs fail with a store behind every client (`make test-store`), and
-- why they cannot mean anything there. Each is run all the same, and must
-- fail: one that passes has to go from this list. One alone passes or fails
-- `by_chance`.

local LEFT = "what is left at exit is in the store, so no line tells of it"
local THREAD = "it counts threads, and a store has one"
local ORDER = "events go through the store, and what it does not take does not"
local CHANCE = "what is in the store alone when all else is sent is left there"
local KEPT = "a client that keeps a store has a table for it, and its queue"
local SPILLED = "of more than 512 events the rest is in the store for a while"

local REASONS = {
  [LEFT] = {
    "at exit with a dead port ends within a second and tells how many were "
      .. "not delivered",
    "at exit with a dead port says why, and tells of the first trouble once "
      .. "at most",
    "at exit with a dead port tells of all clients in one line",
    "at exit with a dead port ends as soon after a long back-off",
    "at exit does not wait with exit_timeout = 0",
    "at exit gives an established connection that never answers all of "
      .. "exit_timeout, then tells",
    "at exit gives up after 2 s when no connection can be established",
    "at exit ends early when the rate limit holds the rest too long",
    "at exit tells in one line that the key is wrong, and ends in time",
    "at exit tells what failed last, not of the rate limit",
    "capture returns at once while the resolver hangs",
    "capture and exit give a hanging resolver 2 s, then tell",
    "capture and fork return at once while the resolver hangs",
    "capture does not wait for a server that accepts no connection",
    "a key that the server sends back is not on stderr when the endpoint "
      .. "backs off, or at exit",
    "the budget of forked processes tells at exit that it allows no more",
    "the end of a process is told to nobody",
    "trouble is told with what it is",
    "trouble at the end for want of rate names what would have waited",
    "the end of the process tells of what was not delivered, unless the "
      .. "level is off",
    "the level warn is the environment's, or log_level",
    "the level error is the environment's, or log_level",
    "the level info is the environment's, or log_level",
    "the level debug is the environment's, or log_level",
    "the level is warn when SEERSTACK_LOG is missing or blank",
    "the level is warn when SEERSTACK_LOG is none, which is told once",
    "logger takes the place of the standard error, but for the end",
    "a secret comes out nowhere on the standard error",
    "a secret comes out nowhere through a logger",
  },
  [THREAD] = {
    "after the last event the sender sleeps while the connections are kept",
    "after the last event the connections are closed, and there are no "
      .. "wake-ups for 10 s",
    "after the last event the next event wakes the sender up again",
    "a process that sends has one thread more, whatever the number of "
      .. "clients and states",
    "a process without a thread gets one from a client that has nothing "
      .. "against it which then sends for the others, too",
    "a process without a thread gets one from a client that has nothing "
      .. "against it also when that came first",
  },
  [ORDER] = {
    "an endpoint backs off further though posts between are refused for "
      .. "their paths",
    "the query of a client whose base URL has a path goes behind both paths",
  },
  [CHANCE] = {
    "at exit delivers thousands of events without a rate limit",
  },
  [KEPT] = {
    "a client takes little of Lua's memory while it is idle",
    "a client that has captured nothing takes less than a KiB, with a key of "
      .. "its own",
  },
  [SPILLED] = {
    "a timestamp keeps every millisecond of a number",
    "the memory of events that are settled is kept for those to come, a MiB "
      .. "of it",
  },
}

-- The reason by the full name of a spec.
local reason_of = {}
for reason, names in pairs(REASONS) do
  for _, name in ipairs(names) do
    reason_of[name] = reason
  end
end

return { reason_of = reason_of, by_chance = CHANCE }
