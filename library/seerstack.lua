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
---A NULL pointer of LuaJIT's, such as Tarantool's `box.NULL`, is null as well.
---@type lightuserdata
seerstack.null = nil

---Names of headers or query parameters to their values; `false` removes one.
---@alias seerstack.Fields table<string, string|number|false>

---How much a message matters.
---@alias seerstack.Level
---| "error" # events are lost
---| "warn"  # trouble, but events are kept
---| "info"  # a client was made, or delivers again after trouble
---| "debug" # each request and each answer, with headers and body

---What belongs to a message of the log.
---@class seerstack.LogFields
---The base URL.
---@field url string
---Of the answer that it is about.
---@field status? integer
---The number of the attempt, from 1.
---@field attempt? integer
---How often it happened since it was last told.
---@field repeated? integer

---Gets a deep copy of what is to be sent (with defaults and `extra_body`
---merged in) and the path, such as `"/capture"`. Returns the table to send,
---this one or another; nil drops the event. Cannot yield.
---@alias seerstack.BeforeSend fun(event: table, path: string): table?

---Gets the error, the decoded body and its exact text; of an event that cannot be
---sent the table that was given, and no text. Cannot yield.
---@alias seerstack.OnError fun(err: seerstack.Error, event: any, json?: string)

---Gets the decoded body of an event that was delivered, and its exact text.
---Cannot yield.
---@alias seerstack.OnDelivered fun(event: any, json: string)

---Cannot yield.
---@alias seerstack.Logger fun(level: seerstack.Level, message: string, fields: seerstack.LogFields)

---Options of `seerstack.new`, `seerstack.configure` and `client:with_options`.
---Every one may be left out; others raise.
---@class (exact) seerstack.Options
---The secret key, in ASCII, of 8192 bytes at most. Default: the environment
---variable `SEERSTACK_API_KEY`, without the space around it. Not needed with
---`enabled = false` and `test_mode = true`; raises in `with_options`.
---@field api_key? string
---Where the API is: http or https, with a path if need be, without user
---information, query or fragment, of 8192 bytes at most. Default: the
---environment variable `SEERSTACK_BASE_URL`, else `https://api.seerstack.com`. Raises in
---`with_options`.
---@field base_url? string
---Seconds that one attempt may take as a whole, > 0. Default: `60`.
---@field timeout? number
---Seconds that one attempt may take until it is connected, > 0.
---Default: `10`.
---@field connect_timeout? number
---Seconds after which an idle connection is closed instead of being used again,
---> 0, rounded up to whole ones: load balancers drain, and addresses change.
---Default: `600`.
---@field max_connection_age? number
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
---Seconds that the process waits at its end until any connection is
---established, > 0; `exit_timeout` holds, too. Default: `2`.
---@field exit_connect_timeout? number
---Requests a minute that the key is good for, 1 to 10^9, of which 95 % are
---used; `false`: no limit. Processes forked from one that had loaded the module
---share it.
---Default: `1000`.
---@field rate_limit? integer|false
---Whether all processes of the user on this machine that have this set, and the
---same key and base URL, share the limit and its pauses.
---Default: `true` with a `store`, else `false`.
---@field share_rate_limit? boolean
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
---The part of the captures that is sent, from 0 to 1, or a table of parts by
---event name; others are sent. A hash of `user_id` and the key decides, so that
---a user's events are all sent or none; without a user, chance does. Identifies,
---posts and what is waited for are always sent. Default: none.
---@field sample? number|table<string, number>
---Whether `capture`, `identify` and `post` wait for the answer.
---Default: `false`.
---@field wait? boolean
---Further headers of every request; `false` removes one, also of those that
---the SDK sends (`Accept`, `Content-Type`, `User-Agent`, `Authorization`).
---Names match without regard to case. `Host`, `Content-Length`,
---`Transfer-Encoding`, `Connection`, `Expect` and `Idempotency-Key` raise. In
---`with_options` they are merged over the client's. Default: `{}`.
---@field headers? seerstack.Fields
---Query parameters of every request, which are percent-encoded. In
---`with_options` they are merged over the client's, of which `false` removes
---one. Default: `{}`.
---@field query? seerstack.Fields
---Merged under the `data` of each capture, whose own keys win. Its keys and
---values are copied; of tables within, only `configure` makes copies. `{}`
---takes back that of the first client in `with_options`. Default: none.
---@field default_data? table<string, any>
---Merged under the `attributes` of each identify. Default: none.
---@field default_attributes? table<string, any>
---Called inside `capture`, `identify`, and `post` with a body. When it raises
---or returns neither a table nor nil, the event is dropped and the call returns
---`nil, message, err` with a `DroppedError`. `false`: none. Default: none.
---@field before_send? seerstack.BeforeSend|false
---Called inside `poll`, `pump`, `flush`, `close`, `future:get` and a call that
---waits, for each accepted event that was given up with nobody waiting for it:
---rejected by the API, or dropped (expired, displaced); and for each that
---cannot be sent and whose call does not wait. `false`: none. Default: none.
---@field on_error? seerstack.OnError|false
---Called where `on_error` is, for each queued event that was delivered and that
---nobody waited for; not in `test_mode`. `false`: none. Default: none.
---@field on_delivered? seerstack.OnDelivered|false
---Called where `on_error` is, instead of writing to the standard error, except
---for what is lost at exit. `false`: the standard error. Default: none.
---@field logger? seerstack.Logger|false
---What is told: messages of this level and of those that matter more; `"off"`:
---nothing. Default: the environment variable `SEERSTACK_LOG`, else `"warn"`,
---also when that has an unknown value.
---@field log_level? "off"|seerstack.Level
---The proxy, such as `"http://user:password@host:3128"`: http (also without a
---scheme, which a host called `ftp.x` or the like needs: it raises), https,
---socks4, socks4a, socks5 or socks5h; `false`: none. When
---given, neither the variables of the environment that name proxies count, nor
---`NO_PROXY`. Default: what they say.
---@field proxy? string|false
---A PEM file of the certificate authorities to trust, instead of the
---system's; read at once, raises if it cannot be. Not together with `ca_blob`.
---Default: the environment variable `SSL_CERT_FILE`, whose file is opened at
---each connection, else libcurl's.
---@field ca_file? string
---The same as PEM text. Raises without `-----BEGIN CERTIFICATE-----`; what
---else is wrong comes up as an `APIConnectionError`. Default: none.
---@field ca_blob? string
---What the client shows where a server wants a certificate: the path of a PEM
---file, or PEM text, with its chain; shown to the origin of `base_url` alone. A
---file is read at once, raises if it cannot be. What is wrong with a
---certificate or a key comes up as an `APIConnectionError`. Default: none.
---@field client_cert? string
---Its private key, likewise. Default: the one in `client_cert`.
---@field client_key? string
---The password of an encrypted key. Default: none.
---@field client_key_password? string
---`"2"` is over TLS only: plain http stays 1.1. Raises where libcurl has no
---HTTP/2. Default: `"1.1"`, from libcurl 8 on `"2"`.
---@field http_version? "1.1"|"2"
---`false` accepts and discards events: they are counted in
---`dropped_by.disabled`, and not looked at beyond being tables. A waited-for
---call gets `{}` and `{ status = 204, headers = {} }`. A key or base URL in
---the environment has to be right all the same. Default: `true`.
---@field enabled? boolean
---`true` opens no socket: events are checked and encoded, count as delivered,
---and are returned by `client:captured()`. A waited-for call gets
---`{ success = true }` and `{ status = 200, headers = {} }`. Default: `false`.
---@field test_mode? boolean
---Keeps what is queued until it is delivered, also when the process ends; such as
---`require "seerstack.sqlite".open { ... }` returns. `exit_timeout` is 1 by
---default then, and `thread` must not be `false`. `false`: none. Default: none.
---@field store? seerstack.Store|false
---Whether a thread that sends may be started for this client; without one,
---`pump` sends, and whoever waits does. The host is then looked up when the
---client is made, and later on a thread that ends with the answer.
---Default: `true`.
---@field thread? boolean

---Options of one `capture`, `identify` or `post`. The client's options are
---their defaults.
---@class (exact) seerstack.RequestOptions
---Block until the API has answered, and return what it said.
---@field wait? boolean
---Return a future at once. Raises together with `wait`; overrules the
---client's. Default: `false`.
---@field future? boolean
---Seconds that one attempt may take, > 0.
---@field timeout? number
---How often a waited-for request is tried again, 0 to 1000; a queued event
---after a 409 only.
---@field max_retries? integer
---Over the client's headers, of which `false` removes one.
---@field headers? seerstack.Fields
---Over the client's query parameters, of which `false` removes one.
---@field query? seerstack.Fields
---1 to 255 bytes without control characters. Default: a random one.
---@field idempotency_key? string
---Merged over the event: `data` of a capture and `attributes` of an identify
---key by key; other fields are replaced, and all of a `post`, whose body must
---be an object or nil then. Default: none.
---@field extra_body? table<string, any>

---For a call that returns the answer.
---@class (exact) seerstack.WaitOptions : seerstack.RequestOptions
---@field wait true

---For a call that returns a future.
---@class (exact) seerstack.FutureOptions : seerstack.RequestOptions
---@field future true

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
---The last answer that was not a 2xx, or why there was none.
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
