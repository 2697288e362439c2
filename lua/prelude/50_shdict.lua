-- ngx.shared
local B = ...
local N, F, ngx = B.N, B.F, B.ngx
local ffi = require "ffi"
local new_tab = require "table.new"
local ffi_string = ffi.string
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

-- Declared as src/lua/api/shdict/hot.rs has it.
ffi.cdef [[
  typedef struct {
    double number; double flags; const char *text; size_t len; double version; int32_t place;
  } moonbeat_shdict;
]]
local found = ffi.new "moonbeat_shdict"
local STRING, NUMBER, BOOL, KEPT, STALE, FORCIBLE = 1, 2, 3, 4, 16, 256
local ERRORS = {
  [-1] = "key too long", [-2] = "not found", [-3] = "exists", [-4] = "no memory",
  [-5] = "not a number", [-6] = "value is a list", [-7] = "value not a list",
  [-8] = "attempt to add or replace nil values", [-9] = 'bad "zone" argument',
}

-- The number of a dictionary.
local function number_of(dict)
  local number = type(dict) == "table" and dict[2]
  if type(number) == "number" then
    return number
  end
  local zone = type(dict) == "table" and dict[1]
  if type(zone) ~= "userdata" or zone == ngx.null then
    error('bad "zone" argument', 3)
  end
  return N["shdict.number"](zone)
end

local shdict_get, shdict_store, shdict_incr = F.shdict_get, F.shdict_store, F.shdict_incr
local shdict_get_stale, shdict_ttl = F.shdict_get_stale, F.shdict_ttl
local shdict_expire, shdict_flush_all = F.shdict_expire, F.shdict_flush_all

-- The strings that were read from each dictionary, by place, and the versions they had.
local PLACES = 128
local texts, versions = {}, {}

local function string_of(number)
  local value, place, version = ffi_string(found.text, found.len), found.place, found.version
  if version ~= 0 then
    -- Whatever happens here, no version stands beside a string that never had it.
    local seen = versions[number]
    seen[place] = 0
    texts[number][place] = value
    seen[place] = version
  end
  return value
end

function methods.get(dict, key)
  local number, err = number_of(dict), nil
  if type(key) ~= "string" or #key == 0 or #key > 65535 then
    key, err = key_of(key)
    if not key then
      return nil, err
    end
  end
  local kind = shdict_get(number, key, #key, found, versions[number])
  local value
  if kind == KEPT then
    value = texts[number][found.place]
  elseif kind == STRING then
    value = string_of(number)
  elseif kind == NUMBER then
    value = found.number
  elseif kind == BOOL then
    value = found.number ~= 0
  elseif kind == 0 then
    return nil
  else
    return nil, ERRORS[kind]
  end
  local flags = found.flags
  if flags ~= 0 then
    return value, flags
  end
  return value
end

-- As `get`, without what is kept of strings: the entry may be an expired one.
function methods.get_stale(dict, key)
  local number, err = number_of(dict), nil
  key, err = key_of(key)
  if not key then
    return nil, err
  end
  local kind = shdict_get_stale(number, key, #key, found)
  local is_stale = kind >= STALE
  if is_stale then
    kind = kind - STALE
  end
  local value
  if kind == STRING then
    value = ffi_string(found.text, found.len)
  elseif kind == NUMBER then
    value = found.number
  elseif kind == BOOL then
    value = found.number ~= 0
  elseif kind == 0 then
    return nil
  else
    return nil, ERRORS[kind]
  end
  local flags = found.flags
  if flags ~= 0 then
    return value, flags, is_stale
  end
  return value, nil, is_stale
end

for _, name in ipairs { "llen", "lpop", "rpop" } do
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

-- Only ever called as the last thing of a method, hence the caller of that one is told.
local function store(how, dict, key, value, exptime, flags)
  local number, err = number_of(dict), nil
  exptime = exptime or 0
  if exptime < 0 then
    error('bad "exptime" argument', 2)
  end
  key, err = key_of(key)
  if not key then
    return nil, err
  end
  local kind, text, amount = type(value), nil, 0
  if kind == "string" then
    kind, text = STRING, value
  elseif kind == "number" then
    kind, amount = NUMBER, value
  elseif kind == "boolean" then
    kind, amount = BOOL, value and 1 or 0
  elseif value == nil then
    kind = 0
  else
    return nil, "bad value type"
  end
  local rc = shdict_store(number, how, key, #key, kind, text, text and #text or 0, amount,
    exptime * 1000, flags or 0)
  if rc == 0 then
    return true, nil, false
  end
  -- Codes are negative and small: what is left of them says whether entries had to go.
  local forcible = rc > 16
  if forcible then
    rc = rc - FORCIBLE
    if rc == 0 then
      return true, nil, true
    end
  end
  return false, ERRORS[rc], forcible
end

for how, name in pairs { [0] = "set", "safe_set", "add", "safe_add", "replace" } do
  methods[name] = function(dict, key, value, exptime, flags)
    return store(how, dict, key, value, exptime, flags)
  end
end

function methods.delete(dict, key)
  return methods.set(dict, key, nil)
end

local function check_init(init, init_ttl)
  if init and type(init) ~= "number" then
    local kind = type(init)
    init = tonumber(init)
    if not init then
      error("bad init arg: number expected, got " .. kind, 3)
    end
  end
  if init_ttl ~= nil then
    local kind = type(init_ttl)
    init_ttl = tonumber(init_ttl)
    if not init_ttl then
      error("bad init_ttl arg: number expected, got " .. kind, 3)
    end
    if init_ttl < 0 then
      error('bad "init_ttl" argument', 3)
    end
    if not init then
      error('must provide "init" when providing "init_ttl"', 3)
    end
  end
  return init, init_ttl
end

function methods.incr(dict, key, value, init, init_ttl)
  local number, err = number_of(dict), nil
  key, err = key_of(key)
  if not key then
    return nil, err
  end
  local by = tonumber(value)
  if not by then
    error("bad value arg: number expected, got " .. type(value), 2)
  end
  init, init_ttl = check_init(init, init_ttl)
  local rc = shdict_incr(number, key, #key, by, init and 1 or 0, init or 0, (init_ttl or 0) * 1000,
    found)
  local forcible = rc > 16
  if forcible then
    rc = rc - FORCIBLE
  end
  if not init then
    if rc == 0 then
      return found.number
    end
    return nil, ERRORS[rc]
  end
  if rc == 0 then
    return found.number, nil, forcible
  end
  return nil, ERRORS[rc], forcible
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
  local number, err = number_of(dict), nil
  key, err = key_of(key)
  if not key then
    return nil, err
  end
  local rc = shdict_ttl(number, key, #key, found)
  if rc ~= 0 then
    return nil, ERRORS[rc]
  end
  return found.number / 1000
end

function methods.expire(dict, key, exptime)
  local number, err = number_of(dict), nil
  if not exptime then
    error('bad "exptime" argument', 2)
  end
  key, err = key_of(key)
  if not key then
    return nil, err
  end
  local rc = shdict_expire(number, key, #key, exptime * 1000)
  if rc ~= 0 then
    return nil, ERRORS[rc]
  end
  return true
end

function methods.flush_all(dict)
  shdict_flush_all(number_of(dict))
end

for _, name in ipairs { "flush_expired", "get_keys", "capacity", "free_space" } do
  local native = N["shdict." .. name]
  methods[name] = function(dict, max)
    return native(zone_of(dict), max)
  end
end

ngx.shared = {}
for number, name in ipairs(N["shdict.names"]()) do
  ngx.shared[name] = setmetatable({ N["shdict.find"](name), number }, methods)
  versions[number] = ffi.new("double[?]", PLACES)
  texts[number] = new_tab(PLACES, 0)
  for place = 0, PLACES - 1 do
    texts[number][place] = false
  end
end
