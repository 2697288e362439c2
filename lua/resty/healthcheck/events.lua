-- What a checker of resty.healthcheck tells and hears.
--
--   the engine ─▶ told(checker, …) ─▶ log, raise_event ─▶ events module ─▶ every worker
--                                                       event_handler ◀──┘ keeps checker.targets
local DEBUG, WARN, ERR = ngx.DEBUG, ngx.WARN, ngx.ERR
local setmetatable, tostring, next, ipairs = setmetatable, tostring, next, ipairs
local error, remove = error, table.remove

local events = {}

events.names = setmetatable({}, {
  __index = function(_, name)
    error(("'%s' is not a valid event name"):format(tostring(name)))
  end,
})
for _, name in ipairs { "remove", "healthy", "unhealthy", "mostly_healthy", "mostly_unhealthy",
    "clear" } do
  events.names[name] = name
end

local UP = { healthy = true, mostly_healthy = true, unhealthy = false, mostly_unhealthy = false }

-- Puts a target where scripts look for it: in the list and under its address, port and name.
function events.enter(targets, target)
  local ports = targets[target.ip] or {}
  local names = ports[target.port] or {}
  targets[target.ip], ports[target.port] = ports, names
  names[target.hostname] = target
  targets[#targets + 1] = target
end

local function find(targets, ip, port, hostname)
  local ports = targets[ip]
  local names = ports and ports[port]
  return names and names[hostname or ip]
end

local function leave(targets, target)
  local ports = targets[target.ip]
  ports[target.port][target.hostname] = nil
  if not next(ports[target.port]) then
    ports[target.port] = nil
    if not next(ports) then
      targets[target.ip] = nil
    end
  end
  for i, listed in ipairs(targets) do
    if listed == target then
      remove(targets, i)
      return
    end
  end
end

local function removed(self, ip, port, hostname)
  local target = find(self.targets, ip, port, hostname)
  if not target then
    return self:log(WARN, "event: trying to remove an unknown target '", hostname or "", "(", ip,
      ":", port, ")'")
  end
  leave(self.targets, target)
  self:log(DEBUG, "event: target '", hostname or "", " (", ip, ":", port, ")' removed")
end

local function changed(self, state, ip, port, hostname)
  local target = find(self.targets, ip, port, hostname)
  if not target then
    target = { ip = ip, port = port, hostname = hostname or ip }
    events.enter(self.targets, target)
    self:log(DEBUG, "event: target added '", hostname or "", "(", ip, ":", port, ")'")
  end
  local from, to = UP[target.internal_health] or false, UP[state]
  local version = ""
  if self.flavour.counts_flips then
    self.status_ver = self.status_ver + (from ~= to and 1 or 0)
    version = ", ver: " .. self.status_ver
  end
  self:log(DEBUG, "event: target status '", hostname or "", "(", ip, ":", port, ")' from '", from,
    "' to '", to, "'", version)
  target.internal_health = state
end

-- Takes an event, from whichever worker it comes.
function events.event_handler(self, name, ip, port, hostname)
  if name == "remove" then
    removed(self, ip, port, hostname)
  elseif name == "clear" then
    self.targets = {}
    self:log(DEBUG, "event: local cache cleared")
  elseif UP[name] ~= nil then
    changed(self, name, ip, port, hostname)
  else
    self:log(WARN, "event: unknown event received '", name, "'")
  end
end

local tell = {}

function tell.counted(self, ip, port, hostname, side, lane, n, limit)
  self:told_count(side, lane, n, limit, hostname, ip, port)
end

function tell.changed(self, ip, port, hostname, state)
  self:raise_event(self.events[state], ip, port, hostname)
end

function tell.removed(self, ip, port, hostname)
  self:raise_event(self.events.remove, ip, port, hostname)
end

function tell.failed(self, _, _, _, text)
  self:log(ERR, text)
end

function tell.probed(self, ip, port, hostname, head, status)
  self:log(DEBUG, "request head: ", head)
  if status then
    self:log(DEBUG, "Reporting '", hostname, " (", ip, ":", port, ")' (got HTTP ", status, ")")
  end
end

function tell.retried(self, ip, port, hostname, text)
  self:log(WARN, "target '", hostname, " (", ip, ":", port, ")' ", text)
end

-- A round of probes begins.
function tell.round(self, _, _, _, mode, n)
  if self.checker_callback_count then
    self.checker_callback_count = self.checker_callback_count + 1
  end
  self:log(DEBUG, "checking ", mode, " targets: ", n == 0 and "nothing to do" or "#" .. n)
end

-- What the engine found out, told in one worker.
function events.told(self, what, ...)
  tell[what](self, ...)
end

return events
