-- resty.upstream.healthcheck: a thin front over the native health engine.
--
--   spawn_checker{...} -- checks the options in the library's order, then asks the engine
--   status_page(), prometheus_status_page(), json_status_page() -- rendered natively
--
-- One check runs for the whole process, whichever workers ask for it.
local B = ...
local N, ask = B.N, B.ask
local ngx, shared = ngx, ngx.shared
local ipairs, pcall, require, error = ipairs, pcall, require, error
local tostring, type = tostring, type
local concat, ceil, max = table.concat, math.ceil, math.max

local _M = { _VERSION = "0.08" }

if not ngx.config or not ngx.config.ngx_lua_version or ngx.config.ngx_lua_version < 9005 then
  error("ngx_lua 0.9.5+ required")
end

local ok, upstream = pcall(require, "ngx.upstream")
if not ok then
  error("ngx_upstream_lua module required")
end

local get_primary_peers = upstream.get_primary_peers
local get_backup_peers = upstream.get_backup_peers
-- Scripts switch the debug lines on by setting this before they require the module.
local debug_mode = ngx.config.debug

local DEFAULT_INTERVAL_MS = 1000
local MIN_INTERVAL_MS = 2

-- The statuses as one string; what is not a number can equal no status.
local function status_list(statuses)
  local list, n = {}, 0
  for _, status in ipairs(statuses) do
    if type(status) == "number" then
      n = n + 1
      list[n] = status
    end
  end
  return concat(list, ",")
end

-- Whole counts that compare as the user's number does.
local function threshold(count, default)
  return max(ceil(count or default), 0)
end

local function check(opts)
  local typ = opts.type
  if not typ then
    return "\"type\" option required"
  end
  if typ ~= "http" and typ ~= "https" then
    return "only \"http\" and \"https\" type are supported right now"
  end
  if not opts.http_req then
    return "\"http_req\" option required"
  end
  if not opts.shm then
    return "\"shm\" option required"
  end
  if not shared[opts.shm] then
    return "shm \"" .. tostring(opts.shm) .. "\" not found"
  end
  local u = opts.upstream
  if not u then
    return "no upstream specified"
  end
  local peers, err = get_primary_peers(u)
  if not peers then
    return "failed to get primary peers: " .. err
  end
  peers, err = get_backup_peers(u)
  if not peers then
    return "failed to get backup peers: " .. err
  end
end

function _M.spawn_checker(opts)
  local wrong = check(opts)
  if wrong then
    return nil, wrong
  end
  local statuses = opts.valid_statuses
  local interval = opts.interval and opts.interval + 0 or DEFAULT_INTERVAL_MS
  return ask(N["upstream_healthcheck.spawn"](
    opts.upstream, opts.shm, opts.http_req,
    opts.type == "https", opts.host, opts.ssl_verify ~= false,
    max(interval, MIN_INTERVAL_MS), opts.timeout or 1000,
    threshold(opts.fall, 5), threshold(opts.rise, 2),
    statuses and status_list(statuses), max(ceil(opts.concurrency or 1), 1),
    opts.port, debug_mode and true or false, debug_mode and opts.no_timer and true or false))
end

function _M.status_page()
  return N["upstream_healthcheck.status_page"]()
end

function _M.prometheus_status_page()
  return N["upstream_healthcheck.prometheus_status_page"]()
end

-- Not in the library: why each peer is up or down, its last results and its history.
function _M.json_status_page()
  return N["upstream_healthcheck.json_status_page"]()
end

return _M
