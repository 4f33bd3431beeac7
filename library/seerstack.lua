---@meta

-- Annotations for the Lua language server: the interface of `seerstack`,
-- with types, units, errors and defaults. This file is never loaded.
--
-- Times are seconds, fractions allowed, rounded up to whole milliseconds.
-- What is misused raises (an unknown option, an event that is no table);
-- what can happen in production returns `nil, message, err`.

---@class seerstack
local seerstack = {}

---The version of the module, such as `"0.1.0"`.
---@type string
seerstack._VERSION = ""

---JSON's `null`, where nil would leave a field out. It equals `cjson.null`.
---@type lightuserdata
seerstack.null = nil

---Options of `seerstack.new` and `seerstack.configure`. Every one may be left
---out; others raise.
---@class (exact) seerstack.Options
---The secret key. Default: the environment variable `SEERSTACK_API_KEY`,
---without the space around it.
---@field api_key? string
---Where the API is: http or https, with a path if need be, without user
---information, query or fragment. Default: the environment variable
---`SEERSTACK_BASE_URL`, else `https://api.seerstack.com`.
---@field base_url? string
---Seconds that one attempt may take as a whole, > 0. Default: `60`.
---@field timeout? number
---Seconds that one attempt may take until it is connected, > 0.
---Default: `10`.
---@field connect_timeout? number
---How often a waited-for request is tried again, 0 to 1000. A queued event
---is tried until it expires, except after a 409. Default: `2`.
---@field max_retries? integer
---Seconds before the second attempt, > 0; doubled with each further one.
---Default: `0.5`.
---@field initial_retry_delay? number
---Seconds that the delay between attempts grows to, > 0. Default: `8` for
---waited-for requests, `60` for queued events; when given, it is for both.
---@field max_retry_delay? number
---Seconds that `flush` and `close` wait when called without an argument, and
---that the process waits at its end for what is undelivered; 0: do not wait.
---Default: `10`, or 4 in a process of nginx.
---@field exit_timeout? number
---Requests a minute that the key is good for, 1 to 10^9, of which 95 % are
---used; `false`: no limit. Several processes have to divide it.
---Default: `1000`.
---@field rate_limit? integer|false
---Requests at a time, 1 to 1000. Default: `16`.
---@field max_in_flight? integer
---Events in the queue and in flight, 1 to 10^7. Default: `10000`.
---@field max_queue_events? integer
---Memory that these occupy, in bytes, 1 to 2^40. Default: `16777216`.
---@field max_queue_bytes? integer
---What happens to an event when the queue is full: `"reject"` refuses the
---new one with `QueueFullError`, `"drop_oldest"` drops as many old ones as it
---needs room. Default: `"reject"`.
---@field overflow? "reject"|"drop_oldest"
---The most bytes that an event's JSON may have, 1 to 2^30.
---Default: `1048576`.
---@field max_event_bytes? integer
---Seconds after which an undelivered event is dropped, > 0.
---Default: `86400`.
---@field max_age? number
---Whether `capture` and `identify` wait for the answer. Default: `false`.
---@field wait? boolean

---Options of one `capture` or `identify`. The client's options are their
---defaults.
---@class (exact) seerstack.RequestOptions
---Block until the API has answered, and return what it said.
---@field wait? boolean
---Seconds that an attempt of a waited-for request may take, > 0.
---@field timeout? number
---How often a waited-for request is tried again, 0 to 1000.
---@field max_retries? integer

---What happened, to whom and when. Other fields are sent as they are.
---@class seerstack.Event
---Not empty; `noun.verb` is recommended. `$` begins the service's own.
---@field name string
---The user's id in your database: not empty. An integral number is sent as
---its digits; a float must lie within 2^53.
---@field user_id? string|integer
---Named values: not an array.
---@field data? table<string, any>
---When it happened: an ISO 8601 string, sent as it is, or seconds since 1970
---UTC from 0 to 253402300799, fractions allowed. Default: now.
---@field timestamp? string|number
---@field [string] any

---What is known of a user. Other fields are sent as they are; nothing that is
---not given is sent.
---@class seerstack.User
---The user's id in your database; as in an event, but required.
---@field user_id string|integer
---@field email? string
---The name to display.
---@field name? string
---Custom traits, not an array; the API merges those of repeated calls.
---@field attributes? table<string, any>
---@field [string] any

---The decoded answer of the API.
---@class seerstack.Response
---@field success? boolean
---@field [string] any

---@class seerstack.Http
---@field status integer
---Names are in lower case; the values of a repeated one are joined by ", ".
---@field headers table<string, string>

---@alias seerstack.ErrorName
---| "ValidationError"          # the event cannot be sent; nothing was queued
---| "QueueFullError"           # max_queue_events or max_queue_bytes is reached
---| "ClosedError"              # the client is closed, or the process ends
---| "TimeoutError"             # flush or close: not all settled in time
---| "APIConnectionError"       # no answer
---| "APITimeoutError"          # no answer in time
---| "BadRequestError"          # 400
---| "AuthenticationError"      # 401
---| "PermissionDeniedError"    # 403
---| "NotFoundError"            # 404
---| "ConflictError"            # 409
---| "UnprocessableEntityError" # 422
---| "RateLimitError"           # 429, or `rate_limit` leaves no room in time
---| "InternalServerError"      # 500 and above
---| "APIStatusError"           # any other status, or an answer not understood

---`tostring(err) == err.message`. The key is masked wherever it stood.
---@class seerstack.Error
---@field name seerstack.ErrorName
---@field message string
---The answer's, if there was one.
---@field status? integer
---The answer's, if there was one; see `seerstack.Http`.
---@field headers? table<string, string>
---The answer's: decoded if it is JSON, else as it came, cut at 64 KiB.
---@field body? any
---`"/capture"` or `"/identify"`, of a request that was made.
---@field path? string

---Why events were dropped; the counts add up to `dropped`.
---@class seerstack.Drops
---Older than `max_age`.
---@field expired integer
---Displaced by newer ones, with `overflow = "drop_oldest"`.
---@field displaced integer
---Undelivered when the process ended.
---@field exit integer

---`accepted == delivered + rejected + dropped + pending`, always.
---@class seerstack.Stats
---Taken by `capture` and `identify`.
---@field accepted integer
---Answered with a 2xx.
---@field delivered integer
---Refused for good, or given up by whoever waited.
---@field rejected integer
---@field dropped integer
---Queued or in flight.
---@field pending integer
---@field dropped_by seerstack.Drops
---The process's background thread; "none" before the first event, and where
---the system grants no thread.
---@field sender "none"|"running"|"stopped"
---The last answer that was not a 2xx, or why there was none.
---@field last_error? string
---When queued events are tried again, if they are held back: seconds since
---1970 UTC, like `os.time`.
---@field retry_at? number

---Made by `seerstack.new`. A client that is collected still sends what it has
---queued; it is closed at the end of its scope if its variable is `<close>`.
---@class seerstack.Client
---@field events seerstack.Events
---@field users seerstack.Users
local Client = {}

---@class seerstack.Events
local events = {}

---@class seerstack.Users
local users = {}

---Records an event. Returns `true` once it is queued, without waiting for
---I/O; with `wait`, the decoded answer and its status and headers.
---May be called with a dot or a colon. Raises on misuse; else errors are
---`ValidationError`, `QueueFullError`, `ClosedError`, and those of the answer.
---```lua
---client.events.capture { name = "user.signup", user_id = "user_123" }
---```
---@param event seerstack.Event
---@param options? seerstack.RequestOptions
---@return true|seerstack.Response|nil response
---@return seerstack.Http|string|nil http_or_message
---@return seerstack.Error? err
---@overload fun(self: seerstack.Events, event: seerstack.Event, options?: seerstack.RequestOptions): true|seerstack.Response|nil, seerstack.Http|string|nil, seerstack.Error? -- luacheck: ignore
function events.capture(event, options) end

---Attaches traits to a user. Results and errors are those of `capture`. An
---identify is not sent while an earlier one of the same client and user is
---unsettled, so the last one wins.
---```lua
---client.users.identify { user_id = "user_123", email = "jane@example.com" }
---```
---@param user seerstack.User
---@param options? seerstack.RequestOptions
---@return true|seerstack.Response|nil response
---@return seerstack.Http|string|nil http_or_message
---@return seerstack.Error? err
---@overload fun(self: seerstack.Users, user: seerstack.User, options?: seerstack.RequestOptions): true|seerstack.Response|nil, seerstack.Http|string|nil, seerstack.Error? -- luacheck: ignore
function users.identify(user, options) end

---Waits until all that was accepted before the call is settled. Errors:
---`TimeoutError`, `ClosedError` (the client was collected).
---@param timeout? number seconds, >= 0; `exit_timeout` by default
---@return true? settled
---@return string? message
---@return seerstack.Error? err
function Client:flush(timeout) end

---Flushes, then refuses further events. What is not settled by then is still
---sent. Returns `true` when the client is closed already. Error:
---`TimeoutError`.
---@param timeout? number seconds, >= 0; `exit_timeout` by default
---@return true? settled
---@return string? message
---@return seerstack.Error? err
function Client:close(timeout) end

---A consistent count of what has become of the client's events.
---@return seerstack.Stats
function Client:stats() end

---Makes a client. Raises when an option is wrong, and when there is no key.
---@param options? seerstack.Options
---@return seerstack.Client
function seerstack.new(options) end

---Sets the options of the default client; raises after its first use, and
---when an option is wrong. Called again, it replaces what it was told.
---@param options seerstack.Options
function seerstack.configure(options) end

---The default client, which is made at its first use from what `configure`
---was given and from the environment. When the environment has no key, or one
---that cannot be used, this and the functions below return `nil, message,
---err` with a `ValidationError`, and one line on the standard error tells so.
---@return seerstack.Client? client
---@return string? message
---@return seerstack.Error? err
function seerstack.default() end

---`capture` of the default client.
---@param event seerstack.Event
---@param options? seerstack.RequestOptions
---@return true|seerstack.Response|nil response
---@return seerstack.Http|string|nil http_or_message
---@return seerstack.Error? err
function seerstack.capture(event, options) end

---`identify` of the default client.
---@param user seerstack.User
---@param options? seerstack.RequestOptions
---@return true|seerstack.Response|nil response
---@return seerstack.Http|string|nil http_or_message
---@return seerstack.Error? err
function seerstack.identify(user, options) end

---`flush` of the default client.
---@param timeout? number seconds, >= 0; `exit_timeout` by default
---@return true? settled
---@return string? message
---@return seerstack.Error? err
function seerstack.flush(timeout) end

---`close` of the default client.
---@param timeout? number seconds, >= 0; `exit_timeout` by default
---@return true? settled
---@return string? message
---@return seerstack.Error? err
function seerstack.close(timeout) end

---`stats` of the default client.
---@return seerstack.Stats? stats
---@return string? message
---@return seerstack.Error? err
function seerstack.stats() end

---Marks a table as an array, so that it is sent as `[]` even when it is empty
---or has holes (they become null). Returns the table; raises when it has a
---metatable of its own.
---@generic T: table
---@param t T
---@return T
function seerstack.array(t) end

return seerstack
