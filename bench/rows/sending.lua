-- Instructions of the sending thread for each request, by callgrind: what
-- twice as many requests cost more. Some tenths of it depend on how many
-- answers come in one turn, and so on the moment.

local bench = require "bench.support.bench"
local callgrind = require "bench.support.callgrind"
local senders = require "bench.support.senders"

local COUNT = bench.size(2000)

local function ours(number)
  return callgrind({ "lua5.4", "bench/support/drained.lua", bench.url,
    number })[2]
end

local function multi(handles)
  return function(number)
    return callgrind({ "build/bench/multi", bench.url .. "/capture",
      "sk_bench", senders.body, number, 16, handles })[1]
  end
end

local function per_request(measure)
  return (measure(2 * COUNT) - measure(COUNT)) / COUNT
end

local found = { ours = {}, reused = {}, fresh = {} }
for i = 1, bench.quick and 1 or 3 do
  found.ours[i] = per_request(ours)
  found.reused[i] = per_request(multi "reused")
  found.fresh[i] = per_request(multi "fresh")
end

local function compare(name, label)
  bench.result("sending", {
    what = "the sending thread, 16 in flight", unit = "instructions/request",
    ours = found.ours, peer = found[name], peer_name = label,
    target = name == senders.alike and "<= 1.04" or nil,
  })
end

compare("reused", "C on libcurl multi")
compare("fresh", "the same, a handle for each request")
