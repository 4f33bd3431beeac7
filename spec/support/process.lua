-- What the system knows of a running process: threads, signals, sockets.

local shell = require "dev.shell"

local process = {}

-- The ids of the process's threads except its first, and except the one
-- that ThreadSanitizer starts before all others.
function process.threads(pid)
  local threads = {}
  for tid in shell.output("ls /proc/" .. pid .. "/task"):gmatch("%d+") do
    if tonumber(tid) ~= tonumber(pid) then
      threads[#threads + 1] = tonumber(tid)
    end
  end
  if os.getenv "SANITIZER" == "tsan" then
    table.sort(threads)
    table.remove(threads, 1)
  end
  return threads
end

-- A field of a thread's status, such as SigBlk, as text.
function process.status(pid, tid, field)
  local text = assert(shell.read(("/proc/%d/task/%d/status"):format(pid, tid)))
  return text:match("\n" .. field .. ":%s*([^\n]*)")
end

-- How often a thread was switched to: each wake-up is one at least.
function process.switches(pid, tid)
  return tonumber(process.status(pid, tid, "voluntary_ctxt_switches"))
    + tonumber(process.status(pid, tid, "nonvoluntary_ctxt_switches"))
end

-- { [inode] = { remote = "0100007F:0050", state = "01" } } of a text in the
-- form of /proc/net/tcp.
local function parse_connections(text)
  local connections = {}
  for remote, state, inode in text:gmatch("\n%s*%d+: %S+ (%S+) (%S+) %S+ %S+"
      .. " %S+%s+%d+%s+%d+ (%d+)") do
    connections[inode] = { remote = remote, state = state }
  end
  return connections
end

-- The inodes of the sockets in a listing of /proc/<pid>/fd, each with its
-- descriptor.
local function parse_sockets(listing)
  local sockets = {}
  for fd, inode in listing:gmatch("(%d+) %-> socket:%[(%d+)%]") do
    sockets[inode] = tonumber(fd)
  end
  return sockets
end

-- The TCP sockets among those of `listing`, which `ls -l /proc/<pid>/fd`
-- wrote, by the text of /proc/<pid>/net/tcp: a list of descriptors.
function process.tcp_among(listing, tcp)
  local descriptors, connections = {}, parse_connections(tcp)
  for inode, fd in pairs(parse_sockets(listing)) do
    if connections[inode] then
      descriptors[#descriptors + 1] = fd
    end
  end
  return descriptors
end

-- The descriptors of the process's TCP sockets.
function process.tcp_sockets(pid)
  local listing = shell.output("ls -l /proc/" .. pid .. "/fd 2>/dev/null")
  return process.tcp_among(listing, shell.output("cat /proc/" .. pid
    .. "/net/tcp /proc/" .. pid .. "/net/tcp6 2>/dev/null"))
end

-- All descriptors: { [fd] = what it is }. Without the pipe that they are read
-- from here, whose other end this process may still have open when ls looks.
function process.descriptors(pid)
  local descriptors = {}
  local listing = shell.output("ls -l /proc/" .. pid .. "/fd 2>/dev/null"
    .. ' | grep -vF "$(readlink /proc/$$/fd/1)"')
  for fd, target in listing:gmatch("(%d+) %-> ([^\n]*)") do
    descriptors[tonumber(fd)] = target
  end
  return descriptors
end

-- Whether a descriptor is closed when the process becomes another program.
function process.closes_on_exec(pid, fd)
  local text = assert(shell.read(("/proc/%d/fdinfo/%d"):format(pid, fd)))
  local flags = tonumber(text:match("flags:%s*(%d+)"), 8)
  return math.floor(flags / tonumber("2000000", 8)) % 2 == 1
end

return process
