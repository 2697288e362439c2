-- Options of resty.healthcheck: defaults, types and bounds, in the library's order and words.
local type, pairs, ipairs, error, assert, tostring = type, pairs, ipairs, error, assert, tostring
local concat = table.concat

-- Marks of options without a default: any value, or a table that is taken as it is.
local ANY, ANY_TABLE = {}, {}
local NUMBER_MAX = 2 ^ 31 - 1
local LIMIT_MAX = 254
local TYPES = { http = true, https = true, tcp = true }

local function range(first, last, list)
  list = list or {}
  for status = first, last do
    list[#list + 1] = status
  end
  return list
end

local function defaults(flavour)
  local list = {
    name = ANY,
    shm_name = ANY,
    type = ANY,
    events_module = "resty.worker.events",
    checks = {
      active = {
        type = "http",
        timeout = 1,
        concurrency = 10,
        http_path = "/",
        https_sni = ANY,
        https_verify_certificate = true,
        headers = ANY_TABLE,
        healthy = {
          interval = 0,
          http_statuses = { 200, 302 },
          successes = 2,
        },
        unhealthy = {
          interval = 0,
          http_statuses = { 429, 404, 500, 501, 502, 503, 504, 505 },
          tcp_failures = 2,
          timeouts = 3,
          http_failures = 5,
        },
      },
      passive = {
        type = "http",
        healthy = {
          http_statuses = range(300, 308, range(200, 208, { 226 })),
          successes = 5,
        },
        unhealthy = {
          http_statuses = { 429, 500, 503 },
          tcp_failures = 2,
          timeouts = 7,
          http_failures = 5,
        },
      },
    },
  }
  if flavour == "api7" then
    list.status_ver = 0
    local active = list.checks.active
    active.req_headers, active.http_method, active.http_req_body = ANY_TABLE, "GET", ""
  end
  return list
end

local function fail(path, key, message)
  path[#path + 1] = key
  error(concat(path, ".") .. ": " .. message, #path + 2)
end

-- The options known to `known`, each checked against its default; others are dropped.
local function fill(options, known, path)
  local out = {}
  for key, default in pairs(known) do
    local value = options[key]
    if value == nil then
      if type(default) == "table" and default ~= ANY and default ~= ANY_TABLE and not default[1] then
        value = fill({}, default, path)
      elseif default ~= ANY and default ~= ANY_TABLE then
        value = default
      end
    elseif default ~= ANY and type(value) ~= type(default) then
      fail(path, key, "invalid value")
    elseif type(value) == "number" then
      if value < 0 or value > NUMBER_MAX then
        fail(path, key, "must be between 0 and " .. NUMBER_MAX)
      end
    elseif type(value) == "table" and default ~= ANY_TABLE and default ~= ANY and not default[1] then
      path[#path + 1] = key
      value = fill(value, default, path)
      path[#path] = nil
    end
    out[key] = value
  end
  return out
end

local function check_type(name, value)
  assert(TYPES[value],
    name .. " can only be 'http', 'https' or 'tcp', got '" .. tostring(value) .. "'")
end

local function check_limits(name, check)
  local function at_most(part, key)
    assert(check[part][key] <= LIMIT_MAX,
      "checks." .. name .. "." .. part .. "." .. key .. " must be at most " .. LIMIT_MAX)
  end
  at_most("healthy", "successes")
  at_most("unhealthy", "tcp_failures")
  at_most("unhealthy", "http_failures")
  at_most("unhealthy", "timeouts")
end

-- Turns a list of statuses into a set, as scripts find it on the checker.
local function to_set(part)
  local set = {}
  for _, status in ipairs(part.http_statuses) do
    set[status] = true
  end
  part.http_statuses = set
end

local options = {}

-- A checker with its settings, before anything is checked.
function options.read(given, flavour)
  return fill(given, defaults(flavour), {})
end

-- What has to hold, in the order in which the library complains.
function options.check(self, given)
  local checks, wanted = self.checks, given.checks or {}
  if self.type then
    -- Deprecated: the type of both checks, where they do not say.
    checks.active.type = (wanted.active or {}).type or self.type
    checks.passive.type = (wanted.passive or {}).type or self.type
    check_type("type", self.type)
  end
  check_limits("active", checks.active)
  check_limits("passive", checks.passive)
  assert(self.name, "required option 'name' is missing")
  assert(self.shm_name, "required option 'shm_name' is missing")
  check_type("checks.active.type", checks.active.type)
  check_type("checks.passive.type", checks.passive.type)
  self.shm = ngx.shared[tostring(given.shm_name)]
  assert(self.shm, ("no shm found by name '%s'"):format(given.shm_name))
  for _, check in pairs(checks) do
    to_set(check.healthy)
    to_set(check.unhealthy)
  end
end

-- Ready header lines: a map of names to a value or several, or an array of such lines.
function options.header_lines(headers)
  if headers == nil or next(headers) == nil then
    return {}, false
  end
  if headers[1] ~= nil then
    return headers, true
  end
  local lines = {}
  for name, values in pairs(headers) do
    for _, value in ipairs(type(values) == "table" and values or { values }) do
      lines[#lines + 1] = name .. ": " .. tostring(value)
    end
  end
  return lines, false
end

return options
