-- lua-nginx-redis against redis-server.
local redis = require "nginx.redis"

local function connect()
  local red = redis:new()
  red:set_timeout(60000)
  assert(red:connect("127.0.0.1", tonumber(ngx.var.peer_port)))
  return red
end

local red = connect()
ngx.say(assert(red:set("dog", "an animal")))
ngx.say(assert(red:get("dog")))
ngx.say(red:get("cat") == ngx.null and "null" or "something")
ngx.say(red:rpush("list", "a", "b", "c"))
ngx.say(table.concat(red:lrange("list", 0, -1), " "))

red:init_pipeline()
red:set("count", 0)
red:incr("count")
red:incr("count")
red:incr("dog")
local results = assert(red:commit_pipeline())
ngx.say(results[1], " ", results[2], " ", results[3], " bad: ", results[4][2])

red:hmset("hash", { field = "value" })
local hash = red:array_to_hash(red:hgetall("hash"))
ngx.say("field ", hash.field)

local listener = connect()
assert(listener:subscribe("news"))
assert(red:publish("news", "hello"))
ngx.say(table.concat(assert(listener:read_reply()), " "))
listener:close()

local large = string.rep("0123456789", 10000)
assert(red:set("large", large))
local got = red:get("large")
ngx.say(#got, " ", got == large)

assert(red:set_keepalive(10000, 10))
ngx.say("reused ", (connect():get_reused_times()))
