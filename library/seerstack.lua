---@meta

-- Annotations for the Lua language server: the interface of `seerstack`,
-- with types, units, errors and defaults; the options are in
-- seerstack/options.lua. These files are never loaded.
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
---A NULL pointer of LuaJIT's, such as Tarantool's `box.NULL`, is null as well.
---@type lightuserdata
seerstack.null = nil

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
---UTC from 0 to 253402300799, fractions allowed; no `int64_t` of LuaJIT's.
---Default: now.
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

---The decoded answer of the API; `{}` of a client that is not enabled.
---@class seerstack.Response
---@field success? boolean
---@field [string] any

---@class seerstack.Http
---204 in a client that is not enabled, 200 in test mode.
---@field status integer
---Names are in lower case; the values of a repeated one are joined by ", ".
---@field headers table<string, string>

---@alias seerstack.ErrorName
---| "ValidationError"          # the event cannot be sent; nothing was queued
---| "QueueFullError"           # max_queue_events or max_queue_bytes is reached
---| "ClosedError"              # the client is closed, or the process ends
---| "DroppedError"             # by before_send, or expired, or displaced
---| "TimeoutError"             # flush, close, get: not settled in time
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
---The answer's: decoded if it is JSON, else as it came, cut at 1 MiB.
---@field body? any
---`"/capture"`, `"/identify"` or a post's, of a request, made or not.
---@field path? string

---Why events were dropped; the counts add up to `dropped`.
---@class seerstack.Drops
---Older than `max_age`.
---@field expired integer
---Displaced by newer ones, with `overflow = "drop_oldest"`.
---@field displaced integer
---Undelivered when the process ended.
---@field exit integer
---Discarded by a client with `enabled = false`.
---@field disabled integer
---Dropped by `before_send`, or because it failed.
---@field before_send integer
---Left out by `sample`.
---@field sampled integer

---What a store's module makes for the option `store`.
---@class seerstack.Store

---Counts of what was adopted from a store:
---`adopted == delivered + rejected + dropped + pending + stored`; and the state
---of it.
---@class seerstack.StoreStats
---@field name string
---"closed": not opened yet; or never, with `test_mode` or `enabled = false`.
---@field state "closed"|"open"|"full"|"failing"|"barred"
---The last trouble with it.
---@field error? string
---How many of the client's `pending` are in memory alone.
---@field unsaved integer
---Those in the store, of all processes, when it was last looked at.
---@field events? integer
---Of these, those that no process has.
---@field nobodys? integer
---Seconds since the oldest of nobody's was captured.
---@field oldest? integer
---@field bytes? integer
---Of these, the store's journal.
---@field log_bytes? integer
---Events of nobody's that went for want of room.
---@field displaced integer
---@field adopted integer
---@field delivered integer
---@field rejected integer
---@field dropped integer
---@field pending integer
---@field stored integer

---`accepted == delivered + rejected + dropped + pending + stored`, always.
---@class seerstack.Stats
---Taken by `capture`, `identify` and `post`.
---@field accepted integer
---Answered with a 2xx; in `test_mode`, kept for `captured`.
---@field delivered integer
---Refused for good, or given up by whoever waited.
---@field rejected integer
---@field dropped integer
---Queued or in flight.
---@field pending integer
---Given to the store alone, undelivered.
---@field stored integer
---Of a client with a store.
---@field store? seerstack.StoreStats
---@field dropped_by seerstack.Drops
---Notices for the callbacks that were lost, because more than 64
---for one of them were unheard, or events of more than `max_event_bytes`.
---@field missed integer
---Of those delivered: answered with a 2xx, but with HTML or `success: false`,
---as a captive portal does or what a wrong `base_url` leads to.
---@field doubtful integer
---Calls that returned `QueueFullError` or `ClosedError`; not a part of `accepted`.
---@field refused integer
---@field invalid integer events that could not be sent, as their message says
---The process's background thread; "none" before the first event, with
---`thread = false`, and where the system grants no thread.
---@field sender "none"|"running"|"stopped"
---The last answer that was not a 2xx, or why there was none; of events that
---were adopted from a store, if the client's own had no such.
---@field last_error? string
---When queued events are tried again, if they are held back: seconds since
---1970 UTC, like `os.time`.
---@field retry_at? number
---Requests a minute that may go at present: 95 % of `rate_limit`, less after a
---429; nil without a limit. All clients with the same base URL and key share
---it, up to the largest limit among them, and so may other processes.
---@field rate? integer

---A request that `test_mode` kept.
---@class seerstack.Captured
---Such as `"/capture"`.
---@field path string
---What follows the `?`, if there is a query.
---@field query? string
---Names are in lower case; the key is replaced by `***`.
---@field headers table<string, string>
---The decoded body; nil for a post without one.
---@field body? any
---The exact text of the body.
---@field json? string

---A request under way, or its result. One that is collected unasked goes on;
---its failure goes to `on_error`. `tostring` gives
---`"seerstack.future (pending)"` or `"seerstack.future (done)"`.
---@class seerstack.Future
local Future = {}

---Whether the request is settled. Never waits.
---@return boolean
function Future:done() end

---Waits until the request is settled, and returns what the waited-for call
---would have returned; any number of times. Runs the callbacks.
---When the time is over: a `TimeoutError`, and it can be asked again.
---@param timeout? number seconds, >= 0; by default as long as `wait` would
---@return seerstack.Response? response
---@return seerstack.Http|string http_or_message
---@return seerstack.Error? err
function Future:get(timeout) end

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
---I/O; with `wait`, the decoded answer and its status and headers; with
---`future`, a future for these. May be called with a dot or a colon. Raises on
---misuse; else errors are `ValidationError`, `QueueFullError`, `ClosedError`,
---`DroppedError`, and those of the answer.
---```lua
---client.events.capture { name = "user.signup", user_id = "user_123" }
---```
---@param event seerstack.Event|seerstack.Raw
---@param options? seerstack.RequestOptions
---@return true|seerstack.Response|seerstack.Future|nil result
---@return seerstack.Http|string|nil http_or_message
---@return seerstack.Error? err
---@overload fun(event: seerstack.Event, options: seerstack.WaitOptions): seerstack.Response?, seerstack.Http|string, seerstack.Error?
---@overload fun(event: seerstack.Event, options: seerstack.FutureOptions): seerstack.Future?, string?, seerstack.Error?
---@overload fun(self: seerstack.Events, event: seerstack.Event, options: seerstack.WaitOptions): seerstack.Response?, seerstack.Http|string, seerstack.Error?
---@overload fun(self: seerstack.Events, event: seerstack.Event, options: seerstack.FutureOptions): seerstack.Future?, string?, seerstack.Error?
---@overload fun(self: seerstack.Events, event: seerstack.Event, options?: seerstack.RequestOptions): true|seerstack.Response|seerstack.Future|nil, seerstack.Http|string|nil, seerstack.Error?
function events.capture(event, options) end

---Attaches traits to a user. Results and errors are those of `capture`. An
---identify is not sent while an earlier one of the same client and user is
---unsettled, so the last one wins.
---```lua
---client.users.identify { user_id = "user_123", email = "jane@example.com" }
---```
---@param user seerstack.User|seerstack.Raw
---@param options? seerstack.RequestOptions
---@return true|seerstack.Response|seerstack.Future|nil result
---@return seerstack.Http|string|nil http_or_message
---@return seerstack.Error? err
---@overload fun(user: seerstack.User, options: seerstack.WaitOptions): seerstack.Response?, seerstack.Http|string, seerstack.Error?
---@overload fun(user: seerstack.User, options: seerstack.FutureOptions): seerstack.Future?, string?, seerstack.Error?
---@overload fun(self: seerstack.Users, user: seerstack.User, options: seerstack.WaitOptions): seerstack.Response?, seerstack.Http|string, seerstack.Error?
---@overload fun(self: seerstack.Users, user: seerstack.User, options: seerstack.FutureOptions): seerstack.Future?, string?, seerstack.Error?
---@overload fun(self: seerstack.Users, user: seerstack.User, options?: seerstack.RequestOptions): true|seerstack.Response|seerstack.Future|nil, seerstack.Http|string|nil, seerstack.Error?
function users.identify(user, options) end

---Sends a POST to a path that has no function of its own, with the same key,
---retries and queue. Results and errors are those of `capture`; a path that
---cannot be sent is a `ValidationError`. A 403, 404 or 405 rejects it, even
---where it is queued. Raises when the path is no string.
---```lua
---client:post("/some/path", { any = { "thing" } })
---```
---@param path string begins with one `/`; may have a query, no fragment
---@param body? table|seerstack.Raw an object or an array; nil: no body
---@param options? seerstack.RequestOptions
---@return true|seerstack.Response|seerstack.Future|nil result
---@return seerstack.Http|string|nil http_or_message
---@return seerstack.Error? err
---@overload fun(self: seerstack.Client, path: string, body: table?, options: seerstack.WaitOptions): seerstack.Response?, seerstack.Http|string, seerstack.Error?
---@overload fun(self: seerstack.Client, path: string, body: table?, options: seerstack.FutureOptions): seerstack.Future?, string?, seerstack.Error?
function Client:post(path, body, options) end

---Makes a client with a queue and counts of its own, which shares pacing,
---back-off and connections with this one. What is given replaces its options;
---`headers` and `query` are merged over its own. Raises when an option is
---wrong, also for `api_key` and `base_url`.
---@param options seerstack.Options
---@return seerstack.Client
function Client:with_options(options) end

---Runs the callbacks for what has come up. Never waits.
---@return integer calls that were made
function Client:poll() end

---Waits until all that was accepted before the call is in the store, or settled.
---Runs the callbacks. Errors: `TimeoutError`, `ClosedError` (the client was
---collected). Raises if the client has no store.
---@param timeout? number seconds, >= 0; `exit_timeout` by default
---@return true? stored
---@return string? message
---@return seerstack.Error? err
function Client:persist(timeout) end

---Sends on this thread, where there is no other for it: what needs no waiting,
---and what comes within `timeout`. Then runs the callbacks. Error:
---`ClosedError` (the client was collected).
---@param timeout? number seconds, >= 0; 0 by default
---@return integer? pending events of this client that are left
---@return string? message
---@return seerstack.Error? err
function Client:pump(timeout) end

---The requests since the last call, the newest `max_queue_events` at most, in
---`test_mode`; else an empty list.
---@return seerstack.Captured[]
function Client:captured() end

---Waits until all that was accepted before the call is settled. Runs `logger`
---and `on_error`. Errors: `TimeoutError`, `ClosedError` (the client was
---collected).
---@param timeout? number seconds, >= 0; `exit_timeout` by default
---@return true? settled
---@return string? message
---@return seerstack.Error? err
function Client:flush(timeout) end

---Flushes, then refuses further events. What is not settled by then is still
---sent. Runs the callbacks. Returns `true` when the client is closed
---already. Error: `TimeoutError`.
---@param timeout? number seconds, >= 0; `exit_timeout` by default
---@return true? settled
---@return string? message
---@return seerstack.Error? err
function Client:close(timeout) end

---A consistent count of what has become of the client's events.
---@return seerstack.Stats
function Client:stats() end

---Makes a client. Raises when an option is wrong, and when there is no key and
---one is needed.
---@param options? seerstack.Options
---@return seerstack.Client
function seerstack.new(options) end

---Sets the options of the default client; raises after its first use, until
---it is closed, and when an option is wrong. Called again, it replaces what it
---was told; after `close`, the next use makes a new client from it.
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
---@param event seerstack.Event|seerstack.Raw
---@param options? seerstack.RequestOptions
---@return true|seerstack.Response|seerstack.Future|nil result
---@return seerstack.Http|string|nil http_or_message
---@return seerstack.Error? err
---@overload fun(event: seerstack.Event, options: seerstack.WaitOptions): seerstack.Response?, seerstack.Http|string, seerstack.Error?
---@overload fun(event: seerstack.Event, options: seerstack.FutureOptions): seerstack.Future?, string?, seerstack.Error?
function seerstack.capture(event, options) end

---`identify` of the default client.
---@param user seerstack.User|seerstack.Raw
---@param options? seerstack.RequestOptions
---@return true|seerstack.Response|seerstack.Future|nil result
---@return seerstack.Http|string|nil http_or_message
---@return seerstack.Error? err
---@overload fun(user: seerstack.User, options: seerstack.WaitOptions): seerstack.Response?, seerstack.Http|string, seerstack.Error?
---@overload fun(user: seerstack.User, options: seerstack.FutureOptions): seerstack.Future?, string?, seerstack.Error?
function seerstack.identify(user, options) end

---`post` of the default client.
---@param path string
---@param body? table
---@param options? seerstack.RequestOptions
---@return true|seerstack.Response|seerstack.Future|nil result
---@return seerstack.Http|string|nil http_or_message
---@return seerstack.Error? err
---@overload fun(path: string, body: table?, options: seerstack.WaitOptions): seerstack.Response?, seerstack.Http|string, seerstack.Error?
---@overload fun(path: string, body: table?, options: seerstack.FutureOptions): seerstack.Future?, string?, seerstack.Error?
function seerstack.post(path, body, options) end

---`pump` of the default client.
---@param timeout? number seconds, >= 0; 0 by default
---@return integer? pending
---@return string? message
---@return seerstack.Error? err
function seerstack.pump(timeout) end

---`poll` of the default client.
---@return integer? calls that were made
---@return string? message
---@return seerstack.Error? err
function seerstack.poll() end

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

---What `seerstack.raw` returns.
---@class seerstack.Raw

---JSON text as a value: any value in an event, its `data`, the whole event, or
---the body of a `post`. It is sent as it is, not decoded; `tostring` gives it.
---Text that is not JSON in UTF-8 is a `ValidationError` of the call that would
---send it. Raises when it is no string.
---```lua
---client.events.capture { name = "a.b", data = seerstack.raw '{"list":[]}' }
---```
---@param text string
---@return seerstack.Raw
function seerstack.raw(text) end

return seerstack
