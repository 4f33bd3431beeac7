#include "scripts.h"
#pragma GCC visibility push(hidden)

/* A row has its fields in this order, and so its values at 2, 4, ... 12: kind,
   user, uuid, when it was captured (Redis's ms), how many died of it, body. */

/* KEYS: owners, the stream of mine, that of nobody's, users. ARGV: me, how
   streams of owners begin, ... `leave` makes a row nobody's, `take` takes one
   of nobody's away; users counts the identifies of each that are nobody's. */
#define SHARED                                                                \
  "local owners, mine, q, users = KEYS[1], KEYS[2], KEYS[3], KEYS[4]\n"       \
  "local me, prefix = ARGV[1], ARGV[2]\n"                                     \
  "local call, time = redis.call, redis.call('TIME')\n"                       \
  "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"                 \
  "local function leave(f)\n"                                                 \
  " call('XADD', q, '*', unpack(f))\n"                                        \
  " if #f == 12 and f[4] ~= '' then\n"                                        \
  "  call('HINCRBY', users, f[4], 1)\n"                                       \
  " end\n"                                                                    \
  "end\n"                                                                     \
  "local function take(e)\n"                                                  \
  " call('XDEL', q, e[1])\n"                                                  \
  " local user = #e[2] == 12 and e[2][4] or ''\n"                             \
  " if user ~= '' and call('HINCRBY', users, user, -1) < 1 then\n"            \
  "  call('HDEL', users, user)\n"                                             \
  " end\n"                                                                    \
  "end\n"                                                                     \
  "local function age(f)\n"                                                   \
  " local ms = now - (tonumber(f[8]) or now)\n"                               \
  " return math.max(0, math.min(ms, 1e15))\n"                                 \
  "end\n"

/* KEYS: the set of targets. ARGV: prefix, ... Calls `visit` with each stream
   in an order that stays. */
#define INSPECT                                                               \
  "local call, time, from = redis.call, redis.call('TIME'), ARGV[2]\n"        \
  "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"                 \
  "local function each(visit)\n"                                              \
  " local targets = call('SMEMBERS', KEYS[1])\n"                              \
  " table.sort(targets)\n"                                                    \
  " for _, target in ipairs(targets) do\n"                                    \
  "  local base, names, ends = ARGV[1] .. ':{' .. target .. '}:', {}, {}\n"   \
  "  local all = call('ZRANGE', base .. 'owners', 0, -1, 'WITHSCORES')\n"     \
  "  for i = 1, #all, 2 do\n"                                                 \
  "   names[#names + 1], ends[all[i]] = all[i], tonumber(all[i + 1])\n"       \
  "  end\n"                                                                   \
  "  table.sort(names)\n"                                                     \
  "  for _, who in ipairs(names) do\n"                                        \
  "   visit(base .. 'o:' .. who, target .. ' ' .. who, base, who,\n"          \
  "    ends[who] > now)\n"                                                    \
  "  end\n"                                                                   \
  "  visit(base .. 'q', target .. ' q', base)\n"                              \
  " end\n"                                                                    \
  "end\n"                                                                     \
  "local function age(f)\n"                                                   \
  " local ms = now - (tonumber(f[8]) or now)\n"                               \
  " return math.max(0, math.min(ms, 1e15))\n"                                 \
  "end\n"

const char *const seer_scripts[SEER_SCRIPTS] = {
    /* KEYS 5: the set of targets. ARGV from 3: see driver.c. What it writes
       first is refused where Redis has no memory left; after another write it
       may write on. If none of all of nobody's rows can be taken, there is
       nothing to come back for soon. */
    [SEER_SCRIPTS_COMMIT] = SHARED
    "local lease, joined = ARGV[3], ARGV[4] == '1'\n"
    "local most, bytes_most = tonumber(ARGV[5]), tonumber(ARGV[6])\n"
    "local displace, room = ARGV[7] == '1', tonumber(ARGV[8])\n"
    "local fuse, kinds = tonumber(ARGV[9]), tonumber(ARGV[10])\n"
    "local id, place = tonumber(ARGV[11]), ARGV[12]\n"
    "local settled, puts = tonumber(ARGV[15]), tonumber(ARGV[16])\n"
    "local full, oom, displaced, heavy = '', false, 0, 0\n"
    "local flags, out = {}, {}\n"
    "if joined and not call('ZSCORE', owners, me) then return {'lost'} end\n"
    "local beat = redis.pcall('ZADD', owners, now + lease, me)\n"
    "if type(beat) == 'table' and beat.err then\n"
    " if not string.find(beat.err, 'OOM', 1, true) then return beat end\n"
    " oom = true\n"
    " call('ZREM', owners, me)\n"
    " call('ZADD', owners, now + lease, me)\n"
    "end\n"
    "if not joined then call('SADD', KEYS[5], ARGV[17]) end\n"
    "for _, e in ipairs(call('XRANGE', mine, ARGV[13], ARGV[14])) do\n"
    " call('XDEL', mine, e[1])\n"
    " leave(e[2])\n"
    "end\n"
    "for i = 18, 17 + settled, 500 do\n"
    " call('XDEL', mine, unpack(ARGV, i, math.min(i + 499, 17 + settled)))\n"
    "end\n"
    "local function limit()\n"
    " if oom then return 'maxmemory' end\n"
    " if call('XLEN', q) + puts > most then return 'max_events' end\n"
    " local used = call('MEMORY', 'USAGE', q) or 0\n"
    " return used > bytes_most and 'max_bytes' or ''\n"
    "end\n"
    "while puts > 0 and limit() ~= '' do\n"
    " local rows = {}\n"
    " if displace then rows = call('XRANGE', q, '-', '+', 'COUNT', 256) end\n"
    " for _, e in ipairs(rows) do take(e) end\n"
    " displaced = displaced + #rows\n"
    " if #rows == 0 or displaced > 4096 then\n"
    "  full = limit()\n"
    "  break\n"
    " end\n"
    " oom = false\n"
    "end\n"
    "if full == '' then\n"
    " for i = 18 + settled, #ARGV, 7 do\n"
    "  local here, user = ARGV[i + 1] == '1', ARGV[i + 3]\n"
    "  local f = {'k', ARGV[i + 2], 's', user, 'u', ARGV[i + 4],\n"
    "   't', now - ARGV[i + 5], 'n', 0, 'b', ARGV[i + 6]}\n"
    "  if user ~= '' and call('HEXISTS', users, user) == 1 then\n"
    "   here = false\n"
    "  end\n"
    "  if here then\n"
    "   call('XADD', mine, ARGV[i], unpack(f))\n"
    "  else\n"
    "   leave(f)\n"
    "  end\n"
    "  flags[#flags + 1] = here and '1' or '0'\n"
    " end\n"
    "end\n"
    "local whole, none = place == '-', false\n"
    "while room > 0 do\n"
    " local rows = call('XRANGE', q, place, '+', 'COUNT', 32)\n"
    " for _, e in ipairs(rows) do\n"
    "  if #out == room or heavy > 4194304 then\n"
    "   room = 0\n"
    "   break\n"
    "  end\n"
    "  local ms, n = string.match(e[1], '^(%d+)-(%d+)$')\n"
    "  place = string.format('%s-%.0f', ms, n + 1)\n"
    "  local f = e[2]\n"
    "  local kind, fused = tonumber(f[2]), (tonumber(f[10]) or 0) >= 10\n"
    "  local known = #f == 12 and kind and kind >= 0 and kind < kinds\n"
    "  known = known and #f[6] == 16 and #f[12] > 0\n"
    "  if known and (not fused or fuse > 0) then\n"
    "   if fused then fuse = fuse - 1 end\n"
    "   take(e)\n"
    "   call('XADD', mine, string.format('%.0f', id + #out), unpack(f))\n"
    "   heavy = heavy + #f[12]\n"
    "   out[#out + 1] = {f[2], f[4], f[6], age(f), f[10], f[12]}\n"
    "  end\n"
    " end\n"
    " if room > 0 and #rows < 32 then\n"
    "  place, none = '-', whole and #out == 0\n"
    "  break\n"
    " end\n"
    "end\n"
    "local left = none and 0 or call('XLEN', q)\n"
    "return {full, displaced, left, place, table.concat(flags), out}\n",
    [SEER_SCRIPTS_LOOK] = SHARED
    "local dead = call('ZRANGEBYSCORE', owners, '-inf', now, 'LIMIT', 0, 16)\n"
    "local moved, heavy = 0, 0\n"
    "for _, who in ipairs(dead) do\n"
    " local key = prefix .. who\n"
    " while who ~= me and moved < 1000 and heavy < 4194304 do\n"
    "  local rows = call('XRANGE', key, '-', '+', 'COUNT', 32)\n"
    "  for _, e in ipairs(rows) do\n"
    "   call('XDEL', key, e[1])\n"
    "   e[2][10] = (tonumber(e[2][10]) or 0) + 1\n"
    "   leave(e[2])\n"
    "   heavy = heavy + #(e[2][12] or '')\n"
    "  end\n"
    "  moved = moved + #rows\n"
    "  if #rows < 32 then\n"
    "   call('DEL', key)\n"
    "   call('ZREM', owners, who)\n"
    "   break\n"
    "  end\n"
    " end\n"
    "end\n"
    "local more = #dead == 16 or moved >= 1000 or heavy >= 4194304\n"
    "local n = call('XLEN', q)\n"
    "local events, oldest = n, 0\n"
    "local first = call('XRANGE', q, '-', '+', 'COUNT', 1)[1]\n"
    "if first then oldest = age(first[2]) end\n"
    "if n == 0 then call('DEL', users) end\n"
    "if call('ZCARD', owners) > 100 then\n"
    " events = -1\n"
    "else\n"
    " for _, who in ipairs(call('ZRANGE', owners, 0, -1)) do\n"
    "  events = events + call('XLEN', prefix .. who)\n"
    " end\n"
    "end\n"
    "local used = call('MEMORY', 'USAGE', q) or 0\n"
    "return {more and 1 or 0, events, n, used, oldest}\n",
    [SEER_SCRIPTS_LEAVE] =
        SHARED "local rows = call('XRANGE', mine, '-', '+', 'COUNT', 256)\n"
               "for _, e in ipairs(rows) do\n"
               " call('XDEL', mine, e[1])\n"
               " leave(e[2])\n"
               "end\n"
               "if #rows < 256 then\n"
               " call('DEL', mine)\n"
               " call('ZREM', owners, me)\n"
               "end\n"
               "return #rows\n",
    /* KEYS: the budget, the set of targets. ARGV: gate, turn, share, held,
       want, lease, tail, pause, peers, target, run of Redis. A gate's field is
       its turn, held, the end of its lease, tail, and until when it wants more
       than it has; "-" is when this was called last, until when nothing is
       granted, who holds the others, until when, and in which run of Redis.
       When nothing was heard for longer than any lease, or time has gone back,
       the clock was set: leases begin anew. After that, when all is lost, and
       in another run, which may not know what was granted last, all have a
       moment to say what they have: as long as one asks, and the next. What is
       written first frees memory: then more may be written. */
    [SEER_SCRIPTS_BUDGET] =
        "local key, me, call = KEYS[1], ARGV[1], redis.call\n"
        "local time, n = call('TIME'), {}\n"
        "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
        "for i = 2, 9 do n[i] = tonumber(ARGV[i]) end\n"
        "local turn, share, held, want = n[2], n[3], n[4], n[5]\n"
        "local lease, tail, pause, peers = n[6], n[7], n[8], 1\n"
        "local function read(text)\n"
        " local all = {}\n"
        " for word in string.gmatch(text or '', '%S+') do\n"
        "  all[#all + 1] = tonumber(word) or word\n"
        " end\n"
        " return all\n"
        "end\n"
        "call('HDEL', key, '')\n"
        "local all, gates = call('HGETALL', key), {}\n"
        "for i = 1, #all, 2 do gates[all[i]] = all[i + 1] end\n"
        "local last, calm, who, till, run = unpack(read(gates['-']))\n"
        "local mine = read(gates[me])\n"
        "if mine[1] and turn <= mine[1] then return {'late'} end\n"
        "gates['-'], gates[me] = nil, nil\n"
        "local moved = last and (now - last > 15000 or last - now > 1000)\n"
        "local anew = run and run ~= ARGV[11] or not last and n[9] > 1\n"
        "if moved or anew then calm = now + 4500 end\n"
        "if moved or not till then who, till = '', 0 end\n"
        "local total, wanting, theirs = 0, 0, 0\n"
        "for name, text in pairs(gates) do\n"
        " local g = read(text)\n"
        " if moved then\n"
        "  g[3], g[5] = now + 5000, 0\n"
        "  call('HSET', key, name, string.format('%.0f %d %.0f %d 0',\n"
        "   g[1], g[2], g[3], g[4]))\n"
        " end\n"
        " if #g ~= 5 or now > g[3] + g[4] then\n"
        "  call('HDEL', key, name)\n"
        " else\n"
        "  total = total + g[2]\n"
        "  if now < g[3] then peers = peers + 1 end\n"
        "  if now < g[5] then\n"
        "   wanting, theirs = wanting + 1, theirs + g[2]\n"
        "  end\n"
        " end\n"
        "end\n"
        "local free, granted, owed, hold = share - total - held, 0, 0, 0\n"
        "local fair = math.floor((share - total + theirs) / (wanting + 1))\n"
        "fair = math.max(1, fair)\n"
        "if now >= (calm or 0) then\n"
        " granted = math.min(want, free)\n"
        " if wanting > 0 then granted = math.min(granted, fair - held) end\n"
        " granted = math.max(0, granted)\n"
        "end\n"
        "if (wanting > 0 and free <= 0) or free < 0 then\n"
        " owed = math.max(0, held - fair)\n"
        "end\n"
        "if pause > 0 and (who == me or now >= till) then\n"
        " who, till = me, now + pause\n"
        "elseif who == me then\n"
        " who, till = '', 0\n"
        "elseif now < till then\n"
        " hold = math.min(till - now, 1500)\n"
        "end\n"
        "if who == '' then who = '-' end\n"
        "local more = want > granted and now + 2500 or 0\n"
        "call('HSET', key, me, string.format('%.0f %d %.0f %d %.0f', turn,\n"
        " held + granted, now + lease, tail, more))\n"
        "call('HSET', key, '-', string.format('%.0f %.0f %s %.0f %s', now,\n"
        " calm or 0, who, till, ARGV[11]))\n"
        "call('PEXPIRE', key, 900000)\n"
        "if not last then call('SADD', KEYS[2], ARGV[10]) end\n"
        "return {granted, owed, peers, hold}\n",
    [SEER_SCRIPTS_TOTALS] =
        INSPECT "local n, nobodys, alive, bytes, oldest = 0, 0, 0, 0, 0\n"
                "local gates, slots = 0, 0\n"
                "local function count_slots(text)\n"
                " local held, lease, tail = string.match(text,\n"
                "  '^%d+ (%d+) (%d+) (%d+) %d+$')\n"
                " if held and lease + tail >= now then\n"
                "  gates, slots = gates + 1, slots + held\n"
                " end\n"
                "end\n"
                "each(function(key, _, base, who, owned)\n"
                " if not who then\n"
                "  local all = call('HVALS', base .. 'budget')\n"
                "  for _, text in ipairs(all) do count_slots(text) end\n"
                " end\n"
                " local count = call('XLEN', key)\n"
                " n = n + count\n"
                " bytes = bytes + (call('MEMORY', 'USAGE', key) or 0)\n"
                " if owned then alive = alive + 1 return end\n"
                " nobodys = nobodys + count\n"
                " local first = call('XRANGE', key, '-', '+', 'COUNT', 1)[1]\n"
                " if first then oldest = math.max(oldest, age(first[2])) end\n"
                "end)\n"
                "return {n, nobodys, alive, bytes, oldest, gates, slots}\n",
    [SEER_SCRIPTS_ROWS] = INSPECT
    "local out, heavy = {}, 0\n"
    "local last, ms, n = string.match(from, '^(%x+ %w+) (%d+)-(%d+)$')\n"
    "each(function(key, name, _, _, owned)\n"
    " local start = '-'\n"
    " if last and name < last then return end\n"
    " if name == last then start = string.format('%s-%.0f', ms, n + 1) end\n"
    " while #out < 256 and heavy < 4194304 do\n"
    "  local rows = call('XRANGE', key, start, '+', 'COUNT', 32)\n"
    "  for _, e in ipairs(rows) do\n"
    "   local f = e[2]\n"
    "   ms, n = string.match(e[1], '^(%d+)-(%d+)$')\n"
    "   start = string.format('%s-%.0f', ms, n + 1)\n"
    "   if #f == 12 then\n"
    "    heavy = heavy + #f[12]\n"
    "    out[#out + 1] = {name .. ' ' .. e[1], owned and 1 or 0, f[2],\n"
    "     f[10], age(f), f[6], f[12]}\n"
    "   end\n"
    "  end\n"
    "  if #rows < 32 then return end\n"
    " end\n"
    "end)\n"
    "return out\n",
    [SEER_SCRIPTS_PURGE] =
        INSPECT "local n = 0\n"
                "each(function(key, _, base, who, owned)\n"
                " if owned then return end\n"
                " n = n + call('XLEN', key)\n"
                " call('UNLINK', key)\n"
                " if who then call('ZREM', base .. 'owners', who)\n"
                " else call('UNLINK', base .. 'users') end\n"
                "end)\n"
                "return n\n",
};
