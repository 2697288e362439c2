-- Methods of a checker: arguments and answers of the library, the work done natively.
--
--   add_target …     N["healthcheck.add"] ─▶ the book of the process ─▶ raise_event
--   report_failure … N["healthcheck.report"] ─▶ counts, perhaps a new state ─▶ raise_event
local B = ...
local N, ask = B.N, B.ask
local ERR, WARN, DEBUG = ngx.ERR, ngx.WARN, ngx.DEBUG
local ngx_log = ngx.log
local type, tonumber, tostring, assert = type, tonumber, tostring, assert
local ipairs, concat = ipairs, table.concat
local thread_spawn, thread_wait = ngx.thread.spawn, ngx.thread.wait
local encode = require("string.buffer").encode

-- The lanes, as native code numbers them.
local SUCCESS, HTTP, TCP, TIMEOUT = 1, 2, 3, 4
local LANES = { "SUCCESS", "HTTP", "TCP", "TIMEOUT" }

local checker = {}

local function identity(ip, port)
  ip = tostring(assert(ip, "no ip address provided"))
  port = assert(tonumber(port), "no port number provided")
  return ip, port
end

-- Adds a target. One that is known stays as it is; one waiting for its delayed removal stays.
function checker:add_target(ip, port, hostname, is_healthy, hostheader, meta)
  ip, port = identity(ip, port)
  hostname = hostname or ip
  local up = is_healthy == nil or is_healthy and true or false
  local done, err = N["healthcheck.add"](self.native.id, ip, port, hostname, up, hostheader,
    meta ~= nil and encode(meta) or nil)
  if not done then
    return nil, err
  end
  if done == "added" then
    self:raise_event(self.events[up and "healthy" or "unhealthy"], ip, port, hostname)
  elseif done == "known" then
    self:log(DEBUG, "adding an existing target: ", hostname, " ", ip, ":", port, " (ignoring)")
  end
  return true
end

-- Removes a target. The host name is not filled in here: scripts depend on it.
function checker:remove_target(ip, port, hostname)
  ip, port = identity(ip, port)
  if hostname == nil then
    return true
  end
  local done, err = N["healthcheck.remove"](self.native.id, ip, port, hostname)
  if done then
    self:raise_event(self.events.remove, ip, port, hostname)
  elseif err then
    return nil, err
  end
  return true
end

function checker:clear()
  local ok, err = N["healthcheck.clear"](self.native.id)
  if not ok then
    return nil, err
  end
  self.targets = {}
  self:raise_event(self.events.clear)
  return true
end

-- Removes all targets that are not added again within `delay` seconds.
function checker:delayed_clear(delay)
  assert(tonumber(delay), "no delay provided")
  return N["healthcheck.delayed_clear"](self.native.id, tonumber(delay))
end

function checker:get_target_status(ip, port, hostname)
  local up = N["healthcheck.status"](self.native.id, ip, port, hostname or ip)
  if up == nil then
    return nil, "target not found"
  end
  return up
end

-- Counts one report, unless its lane is off or the state is settled.
local function count(self, side, ip, port, hostname, limit, lane)
  if limit == 0 then
    return true
  end
  port = tonumber(port)
  if self.flavour.names_by_address then
    hostname = hostname or ip
  end
  local n, state = N["healthcheck.report"](self.native.id, ip, port, hostname or ip, lane, limit)
  if n then
    self:told_count(side, lane, n, limit, hostname, ip, port)
    if state then
      self:raise_event(self.events[state], ip, port, hostname)
    end
  elseif n == nil then
    self:log(WARN, "trying to increment a target that is not in the list: ",
      hostname and "(" .. hostname .. ") " or "", ip, ":", port)
  end
  return true
end

function checker:told_count(side, lane, n, limit, hostname, ip, port)
  self:log(WARN, side, " ", LANES[lane], " increment (", n, "/", limit, ") for '",
    hostname or "", "(", ip, ":", port, ")'")
end

function checker:report_failure(ip, port, hostname, check)
  local rule = self.checks[check or "passive"]
  if rule.type == "tcp" then
    return count(self, "unhealthy", ip, port, hostname, rule.unhealthy.tcp_failures, TCP)
  end
  return count(self, "unhealthy", ip, port, hostname, rule.unhealthy.http_failures, HTTP)
end

function checker:report_success(ip, port, hostname, check)
  local limit = self.checks[check or "passive"].healthy.successes
  return count(self, "healthy", ip, port, hostname, limit, SUCCESS)
end

-- A status in neither list says nothing and gives nothing; what is no number counts as a failure.
function checker:report_http_status(ip, port, hostname, status, check)
  status = tonumber(status) or 0
  local rule = self.checks[check or "passive"]
  if rule.healthy.http_statuses[status] then
    return count(self, "healthy", ip, port, hostname, rule.healthy.successes, SUCCESS)
  elseif rule.unhealthy.http_statuses[status] or status == 0 then
    return count(self, "unhealthy", ip, port, hostname, rule.unhealthy.http_failures, HTTP)
  end
end

function checker:report_tcp_failure(ip, port, hostname, _, check)
  local limit = self.checks[check or "passive"].unhealthy.tcp_failures
  return count(self, "unhealthy", ip, port, hostname, limit, TCP)
end

function checker:report_timeout(ip, port, hostname, check)
  local limit = self.checks[check or "passive"].unhealthy.timeouts
  return count(self, "unhealthy", ip, port, hostname, limit, TIMEOUT)
end

-- Sets the state and forgets all counts; told even if nothing changes.
function checker:set_target_status(ip, port, hostname, is_healthy)
  ip, port = identity(ip, port)
  assert(type(is_healthy) == "boolean")
  if self.flavour.names_by_address then
    hostname = hostname or ip
  end
  local state = is_healthy and "healthy" or "unhealthy"
  if not N["healthcheck.force"](self.native.id, ip, port, hostname or ip, is_healthy) then
    self:log(WARN, "trying to set status for a target that is not in the list: ", ip, ":", port)
    return true
  end
  self:raise_event(self.events[state], ip, port, hostname)
  self:log(WARN, state, " forced for ", hostname, " ", ip, ":", port)
  return true
end

function checker:set_all_target_statuses_for_hostname(hostname, port, is_healthy)
  assert(type(hostname) == "string", "no hostname provided")
  port = assert(tonumber(port), "no port number provided")
  assert(type(is_healthy) == "boolean")
  local all_ok, errors = true, {}
  for _, target in ipairs(N["healthcheck.targets"](self.native.id)) do
    if target.port == port and target.hostname == hostname then
      local ok, err = self:set_target_status(target.ip, port, hostname, is_healthy)
      if not ok then
        all_ok = nil
        errors[#errors + 1] = err
      end
    end
  end
  return all_ok, errors[1] and concat(errors, "; ") or nil
end

-- Probes one target now and reports what comes of it, as the engine does by itself.
function checker:run_single_check(ip, port, hostname, hostheader)
  local found, status, text = ask(N["healthcheck.probe"](self.native.id, ip, port, hostname or ip,
    hostheader))
  if text then
    self:log(ERR, text)
  end
  if found == "status" then
    return self:report_http_status(ip, port, hostname, status, "active")
  elseif found == "timeout" then
    return self:report_timeout(ip, port, hostname, "active")
  elseif found == "tcp" then
    return self:report_tcp_failure(ip, port, hostname, "connect", "active")
  elseif found == "success" then
    return self:report_success(ip, port, hostname, "active")
  end
end

-- Probes a list of targets one after the other.
function checker:run_work_package(list)
  for _, target in ipairs(list) do
    local host = target.hostheader or target.hostname
    self:run_single_check(target.ip, target.port, target.hostname, host)
  end
end

-- Probes a list of targets, as many at a time as the checker may.
function checker:active_check_targets(list)
  local packages, n = {}, math.min(self.checks.active.concurrency, #list)
  for i, target in ipairs(list) do
    local at = (i - 1) % n + 1
    packages[at] = packages[at] or {}
    packages[at][#packages[at] + 1] = target
  end
  local threads = {}
  for i = 1, n - 1 do
    threads[i] = thread_spawn(self.run_work_package, self, packages[i])
  end
  if n > 0 then
    self:run_work_package(packages[n])
  end
  for _, thread in ipairs(threads) do
    thread_wait(thread)
  end
end

function checker:log(level, ...)
  ngx_log(level, self.LOG_PREFIX, ...)
end

function checker:raise_event(event, ip, port, hostname)
  self.bus.post(self.EVENT_SOURCE, event, { ip = ip, port = port, hostname = hostname })
end

-- Begins probing, and listens to what other workers tell.
function checker:start()
  local active = self.checks.active
  active.healthy.active = active.healthy.interval > 0 or nil
  active.unhealthy.active = active.unhealthy.interval > 0 or nil
  N["healthcheck.active"](self.native.id,
    active.healthy.interval > 0 or active.unhealthy.interval > 0)
  -- Never twice.
  self.bus.unregister(self.ev_callback, self.EVENT_SOURCE)
  self.bus.register_weak(self.ev_callback, self.EVENT_SOURCE)
  self:log(DEBUG, "active check flagged as active")
  return true
end

function checker:stop()
  self.checks.active.healthy.active = false
  self.checks.active.unhealthy.active = false
  N["healthcheck.active"](self.native.id, false)
  self.bus.unregister(self.ev_callback, self.EVENT_SOURCE)
  self:log(DEBUG, "healthchecker stopped")
  return true
end

return checker
