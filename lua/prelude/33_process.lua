-- ngx.process
local B = ...
local N, F, S = B.N, B.F, B.S
local has_master = B.config.has_master
local serving = B.config.is_agent and "privileged agent" or "worker"
local type = type
local INIT = 0

local process = { version = "0.1.32" }

-- The configuration is loaded by the master there.
function process.type()
  if not has_master then
    return "single"
  end
  return S.phase == INIT and "master" or serving
end

function process.get_master_pid()
  return F.master_pid()
end

function process.signal_graceful_exit()
  N["process.quit"]()
end

-- A thread of its own, which accepts no connections.
function process.enable_privileged_agent(connections)
  if S.phase ~= INIT then
    return nil, "API disabled in the current context"
  end
  connections = connections or 512
  if type(connections) ~= "number" or connections < 0 then
    return nil, "bad 'connections' argument: number expected and greater than 0"
  end
  return N["process.want_agent"](connections)
end

B.module("ngx.process", process)
