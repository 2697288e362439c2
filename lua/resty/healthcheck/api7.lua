-- The ways of api7/lua-resty-healthcheck 3.2, which APISIX uses. Scripts that require
-- "resty.healthcheck" get them after
--   package.loaded["resty.healthcheck"] = require "resty.healthcheck.api7"
local make = require "resty.healthcheck.make"

return make "api7"
