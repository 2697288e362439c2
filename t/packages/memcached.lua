-- lua-nginx-memcached against memcached.
local memcached = require "nginx.memcached"

local function connect()
  local memc = assert(memcached:new())
  memc:set_timeout(60000)
  assert(memc:connect("127.0.0.1", tonumber(ngx.var.peer_port)))
  return memc
end

local memc = connect()
assert(memc:flush_all())
ngx.say((memc:set("key", "value", 0, 7)))
local value, flags = memc:get("key")
ngx.say(value, " ", flags)
ngx.say((select(2, memc:add("key", "other"))))
ngx.say((memc:replace("key", 1)))
memc:set("other", 2)
local many = memc:get { "key", "other" }
ngx.say(many.key[1], ",", many.other[1])
memc:set("count", 10)
ngx.say((memc:incr("count", 2)))
ngx.say((memc:decr("count", 1)))
memc:delete("count")
ngx.say((select(2, memc:incr("count", 1))))
ngx.say((memc:get("count")))

local large = string.rep("0123456789", 10000)
assert(memc:set("large", large))
local got = memc:get("large")
ngx.say(#got, " ", got == large)

assert(memc:set_keepalive(10000, 10))
ngx.say("reused ", (connect():get_reused_times()))
