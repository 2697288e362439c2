-- What the sockets of both kinds share: how they refuse arguments, and the bytes of send().
-- Levels count from the method: a script called it, so that is where an error stands.
local B = ...
local type, error, pairs, tostring = type, error, pairs, tostring
local getinfo = debug.getinfo

local socket = {}

-- As luaL_argerror: in a call with ":" the object does not count, and the name is the caller's.
-- To be called by a method itself, or `depth` functions below one.
function socket.argument(position, text, depth)
  local level = 2 + (depth or 0)
  local info = getinfo(level, "n")
  if info.namewhat == "method" then
    position = position - 1
  end
  error("bad argument #" .. position .. " to '" .. (info.name or "?") .. "' (" .. text .. ")",
    level + 1)
end

-- The id behind `self`, or the error OpenResty raises for a wrong one; to be called by a method.
function socket.id_of(self, name)
  if type(self) ~= "table" then
    error("bad argument #1 to '" .. name .. "' (table expected, got "
      .. (self == nil and "no value" or type(self)) .. ")", 3)
  end
  local h = self[1]
  return type(h) == "cdata" and h.id or nil
end

-- Flattens what send() takes into `parts`; gives what is wrong with it.
local function flatten(value, parts, top)
  local kind = type(value)
  if kind == "string" or kind == "number" or top and (kind == "nil" or kind == "boolean") then
    parts[#parts + 1] = tostring(value)
  elseif kind == "table" then
    local length = 0
    for key in pairs(value) do
      if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then
        return "non-array table found"
      end
      if key > length then
        length = key
      end
    end
    for i = 1, length do
      local bad = flatten(value[i], parts)
      if bad then
        return bad
      end
    end
  else
    return top and ("string, number, boolean, nil, or array table expected, got " .. kind)
      or ("bad data type " .. kind .. " found")
  end
end

-- The bytes of argument 2 of a method.
function socket.bytes_of(data)
  if type(data) == "string" then
    return data
  end
  local parts = {}
  local bad = flatten(data, parts, true)
  if bad then
    socket.argument(2, bad, 1)
  end
  return table.concat(parts)
end

B.socket = socket
