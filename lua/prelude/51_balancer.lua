-- ngx.balancer
local B = ...
local N = B.N
local type, error, tonumber = type, error, tonumber

local balancer = { version = "0.1.32" }

function balancer.set_current_peer(addr, port, host)
  if port ~= nil and type(port) ~= "number" then
    port = tonumber(port)
  end
  if host ~= nil and type(host) ~= "string" then
    error("bad argument #3 to 'set_current_peer' (string expected, got " .. type(host) .. ")", 2)
  end
  return N["balancer.set_current_peer"](addr, port, host)
end

local function natural(value, position, name)
  if value ~= nil and type(value) ~= "number" then
    error("bad argument #" .. position .. " to '" .. name .. "' (number expected, got "
      .. type(value) .. ")", 3)
  end
  if value and value < 0 then
    error("bad argument #" .. position .. " to '" .. name .. "' (expected >= 0)", 3)
  end
end

function balancer.enable_keepalive(idle_timeout, max_requests)
  natural(idle_timeout, 1, "enable_keepalive")
  natural(max_requests, 2, "enable_keepalive")
  return N["balancer.enable_keepalive"](idle_timeout or nil, max_requests or nil)
end

balancer.set_more_tries = N["balancer.set_more_tries"]
balancer.get_last_failure = N["balancer.get_last_failure"]

local function seconds(value, name)
  if value and (type(value) ~= "number" or value <= 0) then
    error("bad " .. name .. " timeout", 3)
  end
  return value or nil
end

function balancer.set_timeouts(connect, send, read)
  return N["balancer.set_timeouts"](seconds(connect, "connect"), seconds(send, "send"),
    seconds(read, "read"))
end

function balancer.set_upstream_tls(on)
  return N["balancer.set_upstream_tls"](on and on ~= 0 and 1 or 0)
end

function balancer.bind_to_local_addr(addr)
  if type(addr) ~= "string" then
    error("bad argument #1 to 'bind_to_local_addr' (string expected, got " .. type(addr) .. ")", 2)
  end
  return N["balancer.bind_to_local_addr"](addr)
end

balancer.recreate_request = N["balancer.recreate_request"]

B.module("ngx.balancer", balancer)
