-- resty.lock: a lock on a key of a shared dictionary, taken with patience.
local ffi = require "ffi"
local shared, sleep = ngx.shared, ngx.sleep
local tostring, setmetatable, min = tostring, setmetatable, math.min

-- Frees what was locked when its owner is collected.
ffi.cdef "typedef struct { int id; } moonbeat_lock;"
local held, last_id = {}, 0
local guard = ffi.metatype("moonbeat_lock", {
  __gc = function(g)
    local lock = held[g.id]
    if lock then
      held[g.id] = nil
      lock.dict:delete(lock.key)
    end
  end,
})

local lock = { version = "0.09" }
local mt = { __index = lock }

function lock.new(_, name, opts)
  local dict = shared[name]
  if not dict then
    return nil, "dictionary not found"
  end
  opts = opts or {}
  local timeout, exptime = opts.timeout or 5, opts.exptime or 30
  last_id = last_id + 1
  return setmetatable({
    guard = guard(last_id),
    dict = dict,
    timeout = timeout <= exptime and timeout or exptime,
    exptime = exptime,
    step = opts.step or 0.001,
    ratio = opts.ratio or 2,
    max_step = opts.max_step or 0.5,
  }, mt)
end

local function taken(self, key)
  self.key = key
  held[self.guard.id] = { dict = self.dict, key = key }
end

function lock:lock(key)
  if not key then
    return nil, "nil key"
  end
  if self.key then
    return nil, "locked"
  end
  key = tostring(key)
  local dict, exptime, waited, step = self.dict, self.exptime, 0, self.step
  local ok, err = dict:add(key, true, exptime)
  while not ok do
    if err ~= "exists" then
      return nil, err
    end
    if waited >= self.timeout then
      return nil, "timeout"
    end
    step = min(step, self.max_step, self.timeout - waited)
    sleep(step)
    waited = waited + step
    step = step * self.ratio
    ok, err = dict:add(key, true, exptime)
  end
  taken(self, key)
  return waited
end

function lock:unlock()
  local key = self.key
  if not key then
    return nil, "unlocked"
  end
  self.key, held[self.guard.id] = nil, nil
  local ok, err = self.dict:delete(key)
  if not ok then
    return nil, err
  end
  return 1
end

function lock:expire(time)
  local key = self.key
  if not key then
    return nil, "unlocked"
  end
  time = time or self.exptime
  local ok, err = self.dict:replace(key, true, time)
  if not ok then
    return nil, err
  end
  return true
end

return lock
