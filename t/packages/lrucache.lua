-- lua-resty-lrucache, both kinds.
for _, name in ipairs { "resty.lrucache", "resty.lrucache.pureffi" } do
  local cache = assert(require(name).new(2))
  cache:set("a", 1)
  cache:set("b", 2)
  cache:get("a")
  cache:set("c", 3)
  ngx.say((cache:get("a")), " ", (cache:get("b")), " ", (cache:get("c")))
  if name == "resty.lrucache" then
    ngx.say(cache:count())
    cache:set("a", "old", 0.001)
    ngx.sleep(0.01)
    local value, stale = cache:get("a")
    ngx.say(value, " ", stale)
  end
end
