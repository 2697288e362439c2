-- ngx.socket.udp
local B = ...
local N, ask, ngx = B.N, B.ask, B.ngx
local ffi = require "ffi"
local type, error, select, tostring = type, error, select, tostring
local setmetatable, concat = setmetatable, table.concat

ffi.cdef "typedef struct { double id; } moonbeat_udp;"
local free = N["udp.free"]
local handle = ffi.metatype("moonbeat_udp", { __gc = function(h) free(h.id) end })

local udp = {}
udp.__index = udp

local function argument(position, name, text)
  error("bad argument #" .. position .. " to '" .. name .. "' (" .. text .. ")", 3)
end

local function id_of(self, name)
  if type(self) ~= "table" then
    error("bad argument #1 to '" .. name .. "' (table expected, got "
      .. (self == nil and "no value" or type(self)) .. ")", 3)
  end
  local h = self[1]
  return type(h) == "cdata" and h.id or nil
end

function udp.setpeername(...)
  local n = select("#", ...)
  if n ~= 2 and n ~= 3 then
    error("ngx.socket.udp setpeername: expecting 2 or 3 arguments (including the object), but seen " .. n, 2)
  end
  local self, host, port = ...
  local id = id_of(self, "setpeername")
  if n == 3 and not tonumber(port) then
    argument(3, "setpeername", "number expected, got " .. type(port))
  end
  return ask(N["udp.setpeername"](id, host, port and tonumber(port)))
end

function udp.bind(...)
  local self, address = ...
  return N["udp.bind"](id_of(self, "bind"), address)
end

local function join(value, parts)
  local kind = type(value)
  if kind == "table" then
    for i = 1, #value do
      join(value[i], parts)
    end
  elseif kind == "nil" or kind == "boolean" or kind == "string" or kind == "number" then
    parts[#parts + 1] = tostring(value)
  else
    argument(1, "send", "string, number, boolean, nil, or array table expected, got " .. kind)
  end
end

function udp.send(...)
  local n = select("#", ...)
  if n ~= 2 then
    error("expecting 2 arguments (including the object), but got " .. n, 2)
  end
  local self, data = ...
  local id = id_of(self, "send")
  if type(data) ~= "string" then
    local parts = {}
    join(data, parts)
    data = concat(parts)
  end
  return ask(N["udp.send"](id, data))
end

function udp.receive(...)
  local n = select("#", ...)
  if n ~= 1 and n ~= 2 then
    error("expecting 1 or 2 arguments (including the object), but got " .. n, 2)
  end
  local self, size = ...
  return ask(N["udp.receive"](id_of(self, "receive"), size))
end

function udp.settimeout(...)
  local n = select("#", ...)
  if n ~= 2 then
    error("ngx.socket settimeout: expecting 2 arguments (including the object) but seen " .. n, 2)
  end
  local self, ms = ...
  N["udp.settimeout"](id_of(self, "settimeout"), ms)
end

function udp.close(...)
  local n = select("#", ...)
  if n ~= 1 then
    error("expecting 1 argument (including the object) but seen " .. n, 2)
  end
  local self = ...
  return N["udp.close"](id_of(self, "close"))
end

B.udp_meta = udp

function ngx.socket.udp(...)
  if select("#", ...) ~= 0 then
    error("expecting zero arguments, but got " .. select("#", ...), 2)
  end
  return setmetatable({ handle(N["udp.new"]()) }, udp)
end
