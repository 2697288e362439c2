-- lua-nginx-dns: answers over UDP, over TCP when they are cut short, and errors.
local resolver = require "nginx.dns.resolver"

local r = assert(resolver:new { nameservers = { { "127.0.0.1", tonumber(ngx.var.peer_port) } } })
for _, name in ipairs { "one.test", "big.test" } do
  local answer = assert(r:query(name))[1]
  ngx.say(answer.name, " ", answer.address, " ", answer.ttl)
end
local failed = assert(r:query("none.test"))
ngx.say(failed.errcode, " ", failed.errstr)
ngx.say(resolver.arpa_str("1.2.3.4"))
