-- ngx.socket.tcp, ngx.req.socket: argument checks here, waiting and bytes in native code
local B = ...
local N, ask, ngx = B.N, B.ask, B.ngx
local ffi = require "ffi"
local type, error, select, tostring = type, error, select, tostring
local setmetatable, tonumber = setmetatable, tonumber

ffi.cdef [[
  typedef struct ngx_http_lua_socket_tcp_upstream_s { double id; }
    ngx_http_lua_socket_tcp_upstream_t;
]]
local free = N["socket.free"]
local native_connect, native_send = N["socket.connect"], N["socket.send"]
local native_receive = N["socket.receive"]
local handle = ffi.metatype("ngx_http_lua_socket_tcp_upstream_t", { __gc = function(h) free(h.id) end })

local tcp = {}

-- Where OpenResty keeps the timeouts of a socket; libraries look there.
local CONNECT, SEND, READ = 2, 4, 5
tcp.__index = tcp

local argument, id_of, bytes_of = B.socket.argument, B.socket.id_of, B.socket.bytes_of

local function pool_options(options, name)
  local size, backlog, pool = options.pool_size, options.backlog, options.pool
  if size ~= nil then
    if type(size) ~= "number" then
      argument(name, 'bad "pool_size" option type: ' .. type(size), 1)
    end
    if size <= 0 then
      argument(name, 'bad "pool_size" option value: ' .. size, 1)
    end
  end
  if backlog ~= nil then
    if type(backlog) ~= "number" then
      argument(name, 'bad "backlog" option type: ' .. type(backlog), 1)
    end
    if backlog < 0 then
      argument(name, 'bad "backlog" option value: ' .. backlog, 1)
    end
  end
  if pool ~= nil then
    if type(pool) ~= "string" and type(pool) ~= "number" then
      argument(name, 'bad "pool" option type: ' .. type(pool), 1)
    end
    pool = tostring(pool)
  end
  return pool, size, backlog
end

function tcp.connect(...)
  local n = select("#", ...)
  if n ~= 2 and n ~= 3 and n ~= 4 then
    error("ngx.socket connect: expecting 2, 3, or 4 arguments (including the object), but seen " .. n, 2)
  end
  local self, host, port, options = ...
  local id = id_of(self, "connect")
  if type(host) ~= "string" and type(host) ~= "number" then
    argument(2, "string expected, got " .. type(host))
  end
  local pool, size, backlog
  if n == 3 and type(port) == "table" then
    pool, size, backlog = pool_options(port, 3)
    port = nil
  elseif n == 4 and type(options) == "table" then
    pool, size, backlog = pool_options(options, 4)
  end
  if port ~= nil and not tonumber(port) then
    argument(3, "number expected, got " .. type(port))
  end
  return ask(native_connect(id, host, port and tonumber(port), pool, size, backlog))
end

function tcp.bind(...)
  local n = select("#", ...)
  if n ~= 2 and n ~= 3 then
    error("expecting 2 or 3 arguments, but got " .. n, 2)
  end
  local self, address, port = ...
  return N["socket.bind"](id_of(self, "bind"), address, port)
end

function tcp.send(...)
  local n = select("#", ...)
  if n ~= 2 then
    error("expecting 2 arguments (including the object), but got " .. n, 2)
  end
  local self, data = ...
  return ask(native_send(id_of(self, "send"), bytes_of(data)))
end

function tcp.receive(...)
  local n = select("#", ...)
  if n ~= 1 and n ~= 2 then
    error("expecting 1 or 2 arguments (including the object), but got " .. n, 2)
  end
  local self, pattern = ...
  local id = id_of(self, "receive")
  if n == 1 then
    return ask(native_receive(id))
  end
  return ask(native_receive(id, pattern))
end

function tcp.receiveany(...)
  local n = select("#", ...)
  if n ~= 2 then
    error("expecting 2 arguments (including the object), but got " .. n, 2)
  end
  local self, max = ...
  if type(max) ~= "number" or max <= 0 then
    argument(2, "bad max argument")
  end
  return ask(N["socket.receiveany"](id_of(self, "receiveany"), max))
end

function tcp.receiveuntil(...)
  local n = select("#", ...)
  if n ~= 2 and n ~= 3 then
    error("expecting 2 or 3 arguments (including the object), but got " .. n, 2)
  end
  local self, pattern, options = ...
  local id = id_of(self, "receiveuntil")
  local inclusive = false
  if n == 3 then
    if type(options) ~= "table" then
      argument(3, "table expected, got " .. type(options))
    end
    inclusive = options.inclusive
    if inclusive ~= nil and type(inclusive) ~= "boolean" then
      error('bad "inclusive" option value type: ' .. type(inclusive), 2)
    end
  end
  local ok, err = N["socket.until"](pattern)
  if not ok then
    return nil, err
  end
  local ended = false
  return function(size)
    if size ~= nil and type(size) ~= "number" then
      size = tonumber(size)
    end
    local data, fault, partial, now = ask(N["socket.receiveuntil"](id, pattern, inclusive, size, ended))
    ended = now
    if fault then
      return data, fault, partial
    end
    if data == nil then
      return nil, nil, nil
    end
    return data
  end
end

function tcp.settimeout(...)
  local n = select("#", ...)
  if n ~= 2 then
    error("ngx.socket settimeout: expecting 2 arguments (including the object) but seen " .. n, 2)
  end
  local self, ms = ...
  local id = id_of(self, "settimeout")
  if type(ms) ~= "number" then
    ms = tonumber(ms) or argument(2, "number expected, got " .. type(ms))
  end
  self[CONNECT], self[SEND], self[READ] = ms, ms, ms
  N["socket.settimeouts"](id, ms, ms, ms)
end

function tcp.settimeouts(...)
  local n = select("#", ...)
  if n ~= 4 then
    error("ngx.socket settimeouts: expecting 4 arguments (including the object) but seen " .. n, 2)
  end
  local self, connect, send, read = ...
  N["socket.settimeouts"](id_of(self, "settimeouts"), connect, send, read)
  self[CONNECT], self[SEND], self[READ] = connect, send, read
end

function tcp.setoption(...)
  local self, option, value = ...
  local id = id_of(self, "setoption")
  if option == nil then
    return nil, 'missing the "option" argument'
  end
  if value == nil then
    return nil, 'missing the "value" argument'
  end
  return N["socket.setoption"](id, option, value)
end

function tcp.getoption(self, option)
  local id = id_of(self, "getoption")
  if option == nil then
    return nil, 'missing the "option" argument'
  end
  return N["socket.getoption"](id, option)
end

function tcp.close(...)
  local n = select("#", ...)
  if n ~= 1 then
    error("expecting 1 argument (including the object) but seen " .. n, 2)
  end
  local self = ...
  return N["socket.close"](id_of(self, "close"))
end

function tcp.setkeepalive(...)
  local n = select("#", ...)
  if n < 1 or n > 3 then
    error("expecting 1 to 3 arguments (including the object), but got " .. n, 2)
  end
  local self, timeout, size = ...
  local id = id_of(self, "setkeepalive")
  if timeout ~= nil and not tonumber(timeout) then
    argument(2, "number expected, got " .. type(timeout))
  end
  if size ~= nil and not tonumber(size) then
    argument(3, "number expected, got " .. type(size))
  end
  if size ~= nil and tonumber(size) <= 0 then
    argument(3, 'bad "pool_size" option value: ' .. size)
  end
  return N["socket.setkeepalive"](id, timeout, size)
end

function tcp.getreusedtimes(...)
  local n = select("#", ...)
  if n ~= 1 then
    error("expecting 1 argument (including the object), but got " .. n, 2)
  end
  local self = ...
  return N["socket.getreusedtimes"](id_of(self, "getreusedtimes"))
end

function tcp.getfd(self)
  return N["socket.getfd"](id_of(self, "getfd"))
end

local socket = ngx.socket or {}
ngx.socket = socket

function socket.tcp(...)
  if select("#", ...) ~= 0 then
    error("expecting zero arguments, but got " .. select("#", ...), 2)
  end
  return setmetatable({ handle(N["socket.tcp"]()) }, tcp)
end

socket.stream = socket.tcp

function socket.connect(...)
  local sock = setmetatable({ handle(N["socket.tcp"]()) }, tcp)
  local ok, err = sock:connect(...)
  if not ok then
    return nil, err
  end
  return sock
end

function tcp.sslhandshake(self, reused, name, verify, status_request, ...)
  local n = select("#", ...)
  if not self or n > 0 then
    error("ngx.socket sslhandshake: expecting 1 ~ 5 arguments (including the object), but seen "
      .. (self and 5 + n or 0), 2)
  end
  local id = id_of(self, "sslhandshake")
  local older = type(reused) == "cdata" and B.ssl_handle(reused) or nil
  local ok, err = ask(N["socket.sslhandshake"](id, name, verify, older))
  if not ok then
    return ok, err
  end
  if reused == false then
    return true
  end
  return B.ssl_object(N["socket.getsslsession"](id))
end

function tcp.getsslsession(self)
  return B.ssl_object(N["socket.getsslsession"](id_of(self, "getsslsession")))
end

function tcp.setclientcert(self, cert, key)
  local id = id_of(self, "setclientcert")
  if not cert ~= not key then
    return nil, "client certificate must be supplied with corresponding private key"
  end
  if cert and type(cert) ~= "cdata" then
    return nil, "bad cert arg: cdata expected, got " .. type(cert)
  end
  if key and type(key) ~= "cdata" then
    return nil, "bad pkey arg: cdata expected, got " .. type(key)
  end
  return N["socket.setclientcert"](id, cert and B.ssl_handle(cert), key and B.ssl_handle(key))
end

ffi.cdef [[
  int ngx_http_lua_ffi_socket_tcp_settrustedstore(void *r,
    ngx_http_lua_socket_tcp_upstream_t *u, void *store, char **err);
]]
local message = ffi.new("char *[1]")

-- The store is OpenSSL's, made by a library that binds it.
function tcp.settrustedstore(self, store)
  if store ~= nil and type(store) ~= "cdata" then
    return nil, "bad store arg: cdata expected, got " .. type(store)
  end
  id_of(self, "settrustedstore")
  local done = ffi.C.ngx_http_lua_ffi_socket_tcp_settrustedstore(nil, self[1], store, message)
  if done ~= 0 then
    return nil, ffi.string(message[0])
  end
  return true
end

-- There is no OpenSSL behind a connection.
function tcp.getsslpointer()
  return nil, "not supported"
end

tcp.getsslctx = tcp.getsslpointer

-- What the sockets of clients can do.
local downstream, raw = {}, {}
for _, name in ipairs { "receive", "receiveany", "receiveuntil", "settimeout", "settimeouts", "getfd",
  "getoption", "setoption" } do
  downstream[name], raw[name] = tcp[name], tcp[name]
end
downstream.__index = downstream
raw.__index, raw.send = raw, tcp.send

function ngx.req.socket(...)
  local n = select("#", ...)
  if n > 1 then
    error("expecting zero arguments, but got " .. n, 2)
  end
  local id, err = N["socket.req"]((...))
  if not id then
    return nil, err
  end
  return setmetatable({ handle(id) }, (...) and raw or downstream)
end
