-- ngx.semaphore
local B = ...
local N, ask = B.N, B.ask
local ffi = require "ffi"
local tonumber, type, error, setmetatable = tonumber, type, error, setmetatable
local new, free = N["semaphore.new"], N["semaphore.free"]
local post, wait = N["semaphore.post"], N["semaphore.wait"]
local count = N["semaphore.count"]

ffi.cdef "typedef struct { double id; } moonbeat_semaphore;"
local handle = ffi.metatype("moonbeat_semaphore", { __gc = function(h) free(h.id) end })

local semaphore = { version = "0.1.31" }
local mt = { __index = semaphore }

local function id_of(self)
  if type(self) ~= "table" or type(self.sem) ~= "cdata" then
    error("not a semaphore instance", 3)
  end
  return self.sem.id
end

function semaphore.new(n)
  n = tonumber(n) or 0
  if n < 0 then
    error("no negative number", 2)
  end
  return setmetatable({ sem = handle(new(n)) }, mt)
end

function semaphore:wait(seconds)
  local id = id_of(self)
  local timeout_ms = tonumber(seconds) * 1000
  if timeout_ms < 0 then
    error("no negative number", 2)
  end
  -- No tail call: this frame keeps the semaphore alive.
  local ok, err = ask(wait(id, timeout_ms))
  return ok, err
end

function semaphore:post(n)
  local id = id_of(self)
  n = n and tonumber(n) or 1
  if n < 1 then
    error("positive number required", 2)
  end
  return post(id, n)
end

function semaphore:count()
  return count(id_of(self))
end

B.module("ngx.semaphore", semaphore)
