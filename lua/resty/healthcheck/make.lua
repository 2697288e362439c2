-- Builds the module resty.healthcheck in one of its two flavours.
--
--   options ─▶ settings ─▶ N["healthcheck.open"] ─▶ the one book of this name ─▶ a checker on it
local B = ...
local N = B.N
local options = require "resty.healthcheck.options"
local events = require "resty.healthcheck.events"
local methods = require "resty.healthcheck.checker"
local codec = require "string.buffer"
local ssl = require "ngx.ssl"
local ffi = require "ffi"

local DEBUG, WARN, ERR = ngx.DEBUG, ngx.WARN, ngx.ERR
local assert, type, pairs, ipairs, tostring, error = assert, type, pairs, ipairs, tostring, error
local setmetatable, pcall, require = setmetatable, pcall, require

local PREFIX = "lua-resty-healthcheck:"
local STATES = { "healthy", "unhealthy", "mostly_healthy", "mostly_unhealthy" }
-- Where the events module may wait for what was posted before.
local YIELDABLE = { rewrite = true, access = true, content = true, timer = true }

-- names_by_address: a report without a host name means the target named by its address.
-- counts_flips: status_ver rises whenever a target turns.
local FLAVOURS = {
  kong = { headers = "headers", adapts_version = true, host_first = true },
  api7 = { headers = "req_headers", names_by_address = true, counts_flips = true },
}

ffi.cdef "typedef struct { double id; } moonbeat_checker;"
local free = N["healthcheck.free"]
local handle = ffi.metatype("moonbeat_checker", { __gc = function(h) free(h.id) end })

-- The checkers of this VM by their number; who drops a checker ends it.
local live = setmetatable({}, { __mode = "v" })

N["healthcheck.listen"](function(id, what, ...)
  local self = live[id]
  if self then
    events.told(self, what, ...)
  end
end)

local function load_bus(name)
  local bus
  if name == "resty.worker.events" then
    bus = require "resty.worker.events"
  elseif name == "resty.events" then
    bus = require "resty.events.compat"
  else
    error("unknown events module")
  end
  assert(bus.configured(), "please configure the '" .. name
    .. "' module before using 'lua-resty-healthcheck'")
  return bus
end

-- Handles of the certificate and the key of probes.
local function client_cert(self, given)
  if not (given.ssl_cert and given.ssl_key) then
    return
  end
  self.ssl_cert = type(given.ssl_cert) == "cdata" and given.ssl_cert
    or assert(ssl.parse_pem_cert(given.ssl_cert))
  self.ssl_key = type(given.ssl_key) == "cdata" and given.ssl_key
    or assert(ssl.parse_pem_priv_key(given.ssl_key))
  return B.ssl_handle(self.ssl_cert), B.ssl_handle(self.ssl_key)
end

local function keys(set)
  local list = {}
  for status in pairs(set) do
    list[#list + 1] = status
  end
  return list
end

local function open(self, given)
  local active, flavour = self.checks.active, self.flavour
  local lines, is_array = options.header_lines(active[flavour.headers])
  if is_array then
    self:log(WARN, "array headers is deprecated")
  end
  local cert, key = client_cert(self, given)
  return N["healthcheck.open"](self.name, given.shm_name, {
    type = active.type, timeout = active.timeout, concurrency = active.concurrency,
    path = active.http_path, sni = active.https_sni, verify = active.https_verify_certificate,
    headers = lines, method = active.http_method, body = active.http_req_body,
    adapts_version = flavour.adapts_version, host_first = flavour.host_first,
    healthy_interval = active.healthy.interval, unhealthy_interval = active.unhealthy.interval,
    healthy_statuses = keys(active.healthy.http_statuses),
    unhealthy_statuses = keys(active.unhealthy.http_statuses),
    successes = active.healthy.successes, http_failures = active.unhealthy.http_failures,
    tcp_failures = active.unhealthy.tcp_failures, timeouts = active.unhealthy.timeouts,
    cert = cert, key = key, counts_rounds = given.test,
  })
end

-- The targets a dictionary holds from before: another process wrote them, or a library in Lua.
local function stored(shm, name)
  local text, err = shm:get(PREFIX .. name .. ":target_list")
  if err then
    return nil, "failed to fetch target_list from shm: " .. err
  end
  local ok, list = pcall(codec.decode, text or "")
  return ok and type(list) == "table" and list or {}
end

local function restore(self)
  local list, err = stored(self.shm, self.name)
  if not list then
    return nil, err
  end
  for _, t in ipairs(list) do
    local key = t.ip .. ":" .. t.port .. ":" .. tostring(t.hostname or t.ip)
    local state = self.shm:get(self.TARGET_STATE .. ":" .. key)
    local counter = self.shm:get(self.TARGET_COUNTER .. ":" .. key)
    N["healthcheck.restore"](self.native.id, t.ip, t.port, t.hostname or t.ip, STATES[state],
      t.hostheader, t.meta ~= nil and codec.encode(t.meta) or nil, counter or 0, t.purge_time)
  end
  return true
end

-- The names of the keys other libraries know.
local function name_keys(self)
  local own = PREFIX .. self.name
  self.TARGET_STATE, self.TARGET_COUNTER = own .. ":state", own .. ":counter"
  self.TARGET_LIST, self.TARGET_LIST_LOCK = own .. ":target_list", own .. ":target_list_lock"
  self.TARGET_LOCK, self.CALLBACK_LOCK = own .. ":target_lock", own .. ":callback_lock:"
  self.PERIODIC_LOCK = PREFIX .. ":period_lock:"
  self.EVENT_SOURCE = "lua-resty-healthcheck [" .. self.name .. "]"
  self.LOG_PREFIX = "[healthcheck] (" .. self.name .. ") "
end

-- Counts and inner state of a target, for tests of scripts.
local function test_get_counter(self, ip, port, hostname)
  return N["healthcheck.counter"](self.native.id, ip, port, hostname or ip)
end

local function listen(self)
  self.ev_callback = function(data, event)
    return self:event_handler(event, data.ip, data.port, data.hostname)
  end
  if self.events_module == "resty.worker.events" or YIELDABLE[ngx.get_phase()] then
    self.bus:poll()
  end
end

local function new(given, flavour)
  given = given or {}
  local self = options.read(given, flavour)
  self.bus, self.flavour = load_bus(self.events_module), FLAVOURS[flavour]
  options.check(self, given)
  if given.test then
    self.test_get_counter, self.checker_callback_count = test_get_counter, 0
  end
  self.events, self.event_handler = events.names, events.event_handler
  for name, method in pairs(methods) do
    self[name] = method
  end
  name_keys(self)
  local id, fresh = open(self, given)
  if not id then
    return nil, fresh
  end
  self.native = handle(id)
  if fresh then
    local ok, err = restore(self)
    if not ok then
      return nil, "Error loading initial target list: " .. err
    end
  end
  self.targets = {}
  for _, target in ipairs(N["healthcheck.targets"](id)) do
    events.enter(self.targets, target)
    self:log(DEBUG, "Got initial status ", target.internal_health, " ", target.hostname, " ",
      target.ip, ":", target.port)
  end
  self:log(DEBUG, "Got initial target list (", #self.targets, " targets)")
  listen(self)
  self:start()
  live[id] = self
  self:log(DEBUG, "Healthchecker started!")
  return self
end

-- All targets of a checker, whoever holds it.
local function target_list(name, shm_name)
  local shm = ngx.shared[tostring(shm_name)]
  assert(shm, ("no shm found by name '%s'"):format(shm_name))
  local list, meta = N["healthcheck.snapshot"](name, shm_name)
  if not list then
    return stored(shm, name)
  end
  for i, target in ipairs(list) do
    target.meta = meta[i] and codec.decode(meta[i]) or nil
  end
  return list
end

return function(flavour)
  local module = { get_target_list = target_list }
  function module.new(given)
    return new(given, flavour)
  end
  if _G.__TESTING_HEALTHCHECKER then
    -- Removals happen when they are due: there is no interval to shorten.
    function module._set_cleanup_interval() end
  end
  return module
end
