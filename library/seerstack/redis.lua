---@meta seerstack.redis

-- A store for seerstack in Redis: docs/stores.md.
local redis = {}

---@class seerstack.redis.Options
---`redis://[[user]:password@]host[:port][/database]`, `rediss://` for the same over
---TLS, or
---`unix://[[user]:password@]/path[?db=database]`. User and password are secrets.
---@field url string
---What all keys begin with (default: `"ss"`). Who has the same shares.
---@field prefix? string
---With `rediss://`: a PEM file of the authorities to trust instead of the
---system's.
---@field ca_file? string
---Rows that no process has, of a base URL and key (default: 1,000,000). Beyond
---it the client's `overflow` decides.
---@field max_events? integer
---The same in bytes of Redis's memory (default: 256 MiB).
---@field max_bytes? integer
---Seconds without a word from a process until others take what it has, 20 or
---more (default: 30).
---@field lease? number

---Makes what the option `store` of a client takes. Raises on wrong options.
---Nothing is connected before the client's first event.
---@param options seerstack.redis.Options
---@return seerstack.Store
function redis.open(options) end

return redis
