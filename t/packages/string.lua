-- lua-nginx-string: functions of nginx and OpenSSL through FFI.
local to_hex = require("nginx.string").to_hex

for _, name in ipairs { "md5", "sha1", "sha256" } do
  local digest = require("nginx." .. name):new()
  assert(digest:update("hel"))
  assert(digest:update("lo"))
  ngx.say(to_hex(digest:final()))
end
local sha512 = require("nginx.sha512"):new()
sha512:update("hello")
ngx.say(#sha512:final())

local random = require "nginx.random"
ngx.say(#random.bytes(16), " ", #random.bytes(16, true))

local aes = require("nginx.aes"):new("key")
ngx.say(aes:decrypt(aes:encrypt("secret")))
ngx.say(require("nginx.string").atoi("42"))
