-- resty.healthcheck, with the interface of Kong's lua-resty-healthcheck 3.1.
--
--   new(options) -- a checker: targets come and go, probes and reports judge them
--   get_target_list(name, shm_name) -- all targets of a checker with states and counts
--
-- Probes, counts and states live in the native engine, once for the whole process: nothing here
-- waits for a lock, and every method can be called in every phase. Changes are told through the
-- events module the caller chose. `resty.healthcheck.api7` is the same with the ways of APISIX's
-- fork.
local make = require "resty.healthcheck.make"

return make "kong"
