-- resty.limit.req: requests per second by the leaky bucket, as limit_req of nginx counts them.
local ffi = require "ffi"
local shared, now = ngx.shared, ngx.now
local setmetatable, tonumber, type = setmetatable, tonumber, type
local abs, max = math.abs, math.max

-- What the dictionary keeps per key. Excess counts thousandths of a request.
ffi.cdef "typedef struct { uint64_t excess, last_ms; } moonbeat_bucket;"
local bucket_ptr = ffi.typeof "const moonbeat_bucket *"
local SIZE = ffi.sizeof "moonbeat_bucket"
local scratch = ffi.new "moonbeat_bucket[1]"

local limit = { _VERSION = "0.09" }
local mt = { __index = limit }

function limit.new(name, rate, burst)
  local dict = shared[name]
  if not dict then
    return nil, "shared dict not found"
  end
  return setmetatable({ dict = dict, rate = rate * 1000, burst = burst * 1000 }, mt)
end

-- The bucket of a key; nothing for a key that was never seen.
local function bucket(dict, key)
  local kept, err = dict:get(key)
  if kept == nil then
    return nil, err
  end
  if type(kept) ~= "string" or #kept ~= SIZE then
    return nil, "shdict abused by other users"
  end
  local at = ffi.cast(bucket_ptr, kept)
  return tonumber(at.excess), nil, tonumber(at.last_ms)
end

local function keep(dict, key, excess, last_ms)
  scratch[0].excess, scratch[0].last_ms = excess, last_ms
  return dict:set(key, ffi.string(scratch, SIZE))
end

function limit:incoming(key, commit)
  local now_ms = now() * 1000
  local excess, err, last_ms = bucket(self.dict, key)
  if err then
    return nil, err
  end
  if excess then
    excess = max(excess - self.rate * abs(now_ms - last_ms) / 1000 + 1000, 0)
    if excess > self.burst then
      return nil, "rejected"
    end
  else
    excess = 0
  end
  if commit then
    keep(self.dict, key, excess, now_ms)
  end
  return excess / self.rate, excess / 1000
end

-- An approximation: the bucket may have leaked since.
function limit:uncommit(key)
  local excess, err, last_ms = bucket(self.dict, key)
  if not excess then
    return nil, err or "not found"
  end
  keep(self.dict, key, max(excess - 1000, 0), last_ms)
  return true
end

function limit:set_rate(rate)
  self.rate = rate * 1000
end

function limit:set_burst(burst)
  self.burst = burst * 1000
end

return limit
