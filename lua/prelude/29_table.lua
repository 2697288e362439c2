-- What OpenResty's LuaJIT has and the plain one lacks: table.isempty isarray nkeys clone,
-- thread.exdata.
local B = ...
local next, type, pairs, floor = next, type, pairs, math.floor

local function is_table(t, name)
  if type(t) ~= "table" then
    error("bad argument #1 to '" .. name .. "' (table expected, got "
      .. (t == nil and "nil" or type(t)) .. ")", 3)
  end
end

local more = {}

function more.isempty(t)
  is_table(t, "isempty")
  return next(t) == nil
end

function more.isarray(t)
  is_table(t, "isarray")
  for k in pairs(t) do
    if type(k) ~= "number" or k < 1 or k ~= floor(k) then
      return false
    end
  end
  return true
end

function more.nkeys(t)
  is_table(t, "nkeys")
  local n = 0
  for _ in pairs(t) do
    n = n + 1
  end
  return n
end

function more.clone(t)
  is_table(t, "clone")
  local copy = {}
  for k, v in next, t do
    copy[k] = v
  end
  return copy
end

for name, f in pairs(more) do
  table[name] = f
  B.module("table." .. name, f)
end

table.new = require "table.new"
table.clear = require "table.clear"

-- Data of the running coroutine, for libraries that look whether there is a request.
local data = setmetatable({}, { __mode = "k" })

B.module("thread.exdata", function(...)
  local co = coroutine.running() or 0
  if select("#", ...) > 0 then
    data[co] = ...
    return
  end
  return data[co]
end)
