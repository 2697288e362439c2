-- lua-resty-core of the distribution: what it replaces must still be there.
require "resty.core"
local base64 = require "ngx.base64"

ngx.say(type(require("resty.core").version))
local from, to = ngx.re.find("abc", "b", "jo")
ngx.say(from - 1, " ", ("abc"):sub(from, to))
ngx.ctx.key = "value"
ngx.say(ngx.ctx.key)
ngx.say(base64.encode_base64url("text"))
ngx.say(ngx.worker.pid() == tonumber(ngx.var.pid))
