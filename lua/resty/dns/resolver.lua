-- resty.dns.resolver: asks the name servers it is told; over TCP when a reply is too long for UDP.
local wire = require "resty.dns.wire"
local random_bytes = require("resty.random").bytes
local udp, tcp = ngx.socket.udp, ngx.socket.tcp
local byte, char, concat, find = string.byte, string.char, table.concat, string.find
local floor, log, setmetatable, type = math.floor, ngx.log, setmetatable, type
local DEBUG = ngx.DEBUG

local PORT, TIMEOUT_MS, TRIES = 53, 2000, 5
-- Replies to earlier questions that may come before ours.
local STRAYS_MAX = 128
local UDP_SIZE_MAX = 4096

local resolver = { _VERSION = "0.23" }
for name, value in pairs(wire) do
  if type(value) == "number" or find(name, "_", 1, true) then
    resolver[name] = value
  end
end
local mt = { __index = resolver }

-- Two bytes nobody can guess.
local function random_u16()
  local high, low = byte(random_bytes(2), 1, 2)
  return high * 256 + low
end

local function address_of(server)
  if type(server) == "table" then
    return { server[1], server[2] or PORT }
  end
  return { server, PORT }
end

function resolver.new(_, opts)
  if not opts then
    return nil, "no options table specified"
  end
  local names = opts.nameservers
  if not names or #names == 0 then
    return nil, "no nameservers specified"
  end
  local timeout_ms = opts.timeout or TIMEOUT_MS
  local servers, socks = {}, {}
  for i, server in ipairs(names) do
    local sock, err = udp()
    if not sock then
      return nil, "failed to create udp socket: " .. err
    end
    local at = address_of(server)
    local ok
    ok, err = sock:setpeername(at[1], at[2])
    if not ok then
      return nil, "failed to set peer name: " .. err
    end
    sock:settimeout(timeout_ms)
    servers[i], socks[i] = at, sock
  end
  local tcp_sock, err = tcp()
  if not tcp_sock then
    return nil, "failed to create tcp socket: " .. err
  end
  tcp_sock:settimeout(timeout_ms)
  return setmetatable({
    cur = opts.no_random and 1 or random_u16() % #servers + 1,
    socks = socks,
    tcp_sock = tcp_sock,
    servers = servers,
    retrans = opts.retrans or TRIES,
    no_recurse = opts.no_recurse,
  }, mt)
end

function resolver:set_timeout(timeout_ms)
  if not self.socks then
    return nil, "not initialized"
  end
  for _, sock in ipairs(self.socks) do
    sock:settimeout(timeout_ms)
  end
  if not self.tcp_sock then
    return nil, "not initialized"
  end
  self.tcp_sock:settimeout(timeout_ms)
end

function resolver:destroy()
  for _, sock in ipairs(self.socks or {}) do
    sock:close()
  end
  self.cur, self.servers, self.retrans, self.socks, self.tcp_sock = nil, nil, nil, nil, nil
end

-- The next of the servers in turn, and the text that names it.
local function next_server(self)
  local at = self.cur
  self.cur = at % #self.servers + 1
  return at, concat(self.servers[at], ":")
end

local function ask_tcp(self, at, question, id, opts)
  local sock, server = self.tcp_sock, self.servers[at]
  if not sock then
    return nil, "not initialized"
  end
  local name = concat(server, ":")
  log(DEBUG, "query the TCP server due to reply truncation")
  local ok, err = sock:connect(server[1], server[2])
  if not ok then
    return nil, "failed to connect to TCP server " .. name .. ": " .. err
  end
  local size = #question
  ok, err = sock:send { char(floor(size / 256)), char(size % 256), question }
  if not ok then
    return nil, "failed to send query to TCP server " .. name .. ": " .. err
  end
  local buf
  buf, err = sock:receive(2)
  if not buf then
    return nil, "failed to receive the reply length field from TCP server " .. name .. ": " .. err
  end
  local high, low = byte(buf, 1, 2)
  buf, err = sock:receive(high * 256 + low)
  if not buf then
    return nil, "failed to receive the reply message body from TCP server " .. name .. ": " .. err
  end
  local answers
  answers, err = wire.parse(buf, id, opts)
  if not answers then
    return nil, "failed to parse the reply from the TCP server " .. name .. ": " .. err
  end
  sock:close()
  return answers
end

-- One question to one server; a reply with another id is not for us.
local function ask_udp(self, question, id, opts)
  local at, name = next_server(self)
  local sock = self.socks[at]
  local ok, err = sock:send(question)
  if not ok then
    return nil, "failed to send request to UDP server " .. name .. ": " .. err
  end
  for _ = 1, STRAYS_MAX do
    local buf
    buf, err = sock:receive(UDP_SIZE_MAX)
    if not buf then
      return nil, "failed to receive reply from UDP server " .. name .. ": " .. err
    end
    local answers
    answers, err = wire.parse(buf, id, opts)
    if err == "truncated" then
      answers, err = ask_tcp(self, at, question, id, opts)
    end
    if answers then
      return answers
    end
    if err ~= "id mismatch" then
      return nil, err
    end
  end
  return nil, err
end

-- The message to send and its id, or nil and why there is none.
local function prepare(self, name, opts)
  if not self.socks then
    return nil, "not initialized"
  end
  local id = self._id or random_u16()
  local question, err = wire.question(name, id, self.no_recurse, opts)
  return question, question and id or err
end

function resolver:query(name, opts, tries)
  local question, id = prepare(self, name, opts)
  if not question then
    return nil, id
  end
  local err
  if tries then
    tries[1] = nil
  end
  for i = 1, self.retrans do
    local answers
    answers, err = ask_udp(self, question, id, opts)
    if answers then
      return answers, nil, tries
    end
    if tries then
      tries[i], tries[i + 1] = err, nil
    end
  end
  return nil, err, tries
end

function resolver:tcp_query(name, opts)
  local question, id = prepare(self, name, opts)
  if not question then
    return nil, id
  end
  return ask_tcp(self, (next_server(self)), question, id, opts)
end

function resolver:reverse_query(address)
  return self:query(self.arpa_str(address), { qtype = self.TYPE_PTR })
end

return resolver
