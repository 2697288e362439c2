-- lua-nginx-cookie.
ngx.req.set_header("Cookie", "a=1; b=two")
local cookie = assert(require("nginx.cookie"):new())
local all = cookie:get_all()
local set = assert(cookie:set {
  key = "Name",
  value = "Bob",
  path = "/",
  domain = "example.com",
  secure = true,
  httponly = true,
  expires = "Wed, 09 Jun 2021 10:18:14 GMT",
  max_age = 50,
})
assert(set)
ngx.say("a=", all.a, " b=", all.b)
ngx.say(cookie:get("c") or "none")
ngx.say(ngx.header.Set_Cookie)
