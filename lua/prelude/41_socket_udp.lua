-- ngx.socket.udp
local B = ...
local N, ask, ngx = B.N, B.ask, B.ngx
local ffi = require "ffi"
local type, error, select, tonumber = type, error, select, tonumber
local setmetatable = setmetatable

ffi.cdef "typedef struct { double id; } moonbeat_udp;"
local free = N["udp.free"]
local handle = ffi.metatype("moonbeat_udp", { __gc = function(h) free(h.id) end })

local udp = {}
udp.__index = udp

local argument, id_of, bytes_of = B.socket.argument, B.socket.id_of, B.socket.bytes_of

function udp.setpeername(...)
  local n = select("#", ...)
  if n ~= 2 and n ~= 3 then
    error("ngx.socket.udp setpeername: expecting 2 or 3 arguments (including the object), but seen " .. n, 2)
  end
  local self, host, port = ...
  local id = id_of(self, "setpeername")
  if n == 3 and not tonumber(port) then
    argument(3, "number expected, got " .. type(port))
  end
  return ask(N["udp.setpeername"](id, host, port and tonumber(port)))
end

function udp.bind(...)
  local self, address = ...
  return N["udp.bind"](id_of(self, "bind"), address)
end

function udp.send(...)
  local n = select("#", ...)
  if n ~= 2 then
    error("expecting 2 arguments (including the object), but got " .. n, 2)
  end
  local self, data = ...
  return ask(N["udp.send"](id_of(self, "send"), bytes_of(data)))
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
