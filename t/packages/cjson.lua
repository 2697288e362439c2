-- lua-cjson, a C module of the distribution.
local cjson = require "cjson"
assert(package.loaded.cjson == cjson)
ngx.say(cjson._VERSION)
ngx.say(cjson.encode { a = { 1, 2, cjson.null } })
local value = cjson.decode('{"yes":true,"list":["x"]}')
ngx.say(value.yes, " ", value.list[1])
ngx.say((select(2, require("cjson.safe").decode("?"))))
