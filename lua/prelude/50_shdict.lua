-- ngx.shared
local B = ...
local N, ngx = B.N, B.ngx
local type, tostring, tonumber, error, setmetatable = type, tostring, tonumber, error, setmetatable

local methods = {}
methods.__index = methods

local function zone_of(dict)
  local zone = type(dict) == "table" and dict[1]
  if type(zone) ~= "userdata" then
    error('bad "zone" argument', 3)
  end
  return zone
end

-- The key as a string, or nil and what is wrong with it.
local function key_of(key)
  if key == nil then
    return nil, "nil key"
  end
  if type(key) ~= "string" then
    key = tostring(key)
  end
  if #key == 0 then
    return nil, "empty key"
  end
  if #key > 65535 then
    return nil, "key too long"
  end
  return key
end

for _, name in ipairs { "get", "get_stale", "llen", "lpop", "rpop" } do
  local native = N["shdict." .. name]
  methods[name] = function(dict, key)
    local zone, err = zone_of(dict), nil
    key, err = key_of(key)
    if not key then
      return nil, err
    end
    return native(zone, key)
  end
end

local STORABLE = { string = true, number = true, boolean = true, ["nil"] = true }

for _, name in ipairs { "set", "safe_set", "add", "safe_add", "replace" } do
  local native = N["shdict." .. name]
  methods[name] = function(dict, key, value, exptime, flags)
    local zone, err = zone_of(dict), nil
    exptime = exptime or 0
    if exptime < 0 then
      error('bad "exptime" argument', 2)
    end
    key, err = key_of(key)
    if not key then
      return nil, err
    end
    if not STORABLE[type(value)] then
      return nil, "bad value type"
    end
    return native(zone, key, value, exptime * 1000, flags or 0)
  end
end

function methods.delete(dict, key)
  return methods.set(dict, key, nil)
end

local incr = N["shdict.incr"]

function methods.incr(dict, key, value, init, init_ttl)
  local zone, err = zone_of(dict), nil
  key, err = key_of(key)
  if not key then
    return nil, err
  end
  value = tonumber(value)
  if init and type(init) ~= "number" then
    local kind = type(init)
    init = tonumber(init)
    if not init then
      error("bad init arg: number expected, got " .. kind, 2)
    end
  end
  if init_ttl ~= nil then
    local kind = type(init_ttl)
    init_ttl = tonumber(init_ttl)
    if not init_ttl then
      error("bad init_ttl arg: number expected, got " .. kind, 2)
    end
    if init_ttl < 0 then
      error('bad "init_ttl" argument', 2)
    end
    if not init then
      error('must provide "init" when providing "init_ttl"', 2)
    end
  end
  return incr(zone, key, value, init, (init_ttl or 0) * 1000)
end

for _, name in ipairs { "lpush", "rpush" } do
  local native = N["shdict." .. name]
  methods[name] = function(dict, key, value)
    local zone, err = zone_of(dict), nil
    key, err = key_of(key)
    if not key then
      return nil, err
    end
    if type(value) ~= "string" and type(value) ~= "number" then
      return nil, "bad value type"
    end
    return native(zone, key, value)
  end
end

function methods.ttl(dict, key)
  local zone, err = zone_of(dict), nil
  key, err = key_of(key)
  if not key then
    return nil, err
  end
  local ms
  ms, err = N["shdict.ttl"](zone, key)
  if not ms then
    return nil, err
  end
  return ms / 1000
end

function methods.expire(dict, key, exptime)
  local zone, err = zone_of(dict), nil
  if not exptime then
    error('bad "exptime" argument', 2)
  end
  key, err = key_of(key)
  if not key then
    return nil, err
  end
  return N["shdict.expire"](zone, key, exptime * 1000)
end

for _, name in ipairs { "flush_all", "flush_expired", "get_keys", "capacity", "free_space" } do
  local native = N["shdict." .. name]
  methods[name] = function(dict, max)
    return native(zone_of(dict), max)
  end
end

ngx.shared = {}
for _, name in ipairs(N["shdict.names"]()) do
  ngx.shared[name] = setmetatable({ N["shdict.find"](name) }, methods)
end
