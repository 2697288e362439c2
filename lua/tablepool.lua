-- tablepool: tables that are used again instead of made again.
local clear, new_tab = require "table.clear", require "table.new"
local setmetatable, error = setmetatable, error

local POOL_MAX = 200
local pools = {}
local pool = {}

function pool.fetch(name, list, map)
  local free = pools[name]
  local n = free and #free or 0
  if n == 0 then
    return new_tab(list, map)
  end
  local t = free[n]
  free[n] = nil
  return t
end

function pool.release(name, t, keep)
  if not t then
    error("object empty", 2)
  end
  local free = pools[name]
  if not free then
    free = {}
    pools[name] = free
  end
  if not keep then
    setmetatable(t, nil)
    clear(t)
  end
  if #free < POOL_MAX then
    free[#free + 1] = t
  end
end

return pool
