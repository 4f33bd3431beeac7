---@meta seerstack.sqlite

-- A store for seerstack in a directory: docs/stores.md.
local sqlite = {}

---@class seerstack.sqlite.Options
---Of this store alone; made if its parent exists. A relative one is meant from
---the current directory.
---@field directory string
---Bytes of rows and their log, at least 8 MiB (default: 256 MiB). Beyond it the
---client's `overflow` decides.
---@field max_bytes? integer
---What a commit outlives (default: `"process"`): the process, or a power
---failure too.
---@field durability? "process"|"power"
---Whether other users of the directory's group take part (default: false).
---@field group? boolean

---Makes what the option `store` of a client takes. Raises on wrong options.
---Nothing is opened before the client's first event.
---@param options seerstack.sqlite.Options
---@return seerstack.Store
function sqlite.open(options) end

return sqlite
