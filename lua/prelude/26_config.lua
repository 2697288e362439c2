-- ngx.config, ngx.worker
local B = ...
local F, S, ngx = B.F, B.S, B.ngx
local worker_pid = F.worker_pid
local config, worker = ngx.config, ngx.worker

config.subsystem = "http"
config.debug = B.config.debug
config.nginx_version = 1029004
config.ngx_lua_version = 10032

function config.prefix()
  return B.config.prefix
end

function config.nginx_configure()
  return B.config.configure or ""
end

-- The privileged agent has none, nor has the master, which runs init_by_lua* there.
local number, has_master, INIT = B.config.number, B.config.has_master, 0
function worker.id()
  if has_master and S.phase == INIT then
    return nil
  end
  return number
end

function worker.pid()
  return worker_pid()
end

local count = B.config.worker_count
function worker.count()
  return count
end

function worker.exiting()
  return S.exiting ~= 0
end

-- Workers are threads of one process.
function worker.pids()
  local phase = ngx.get_phase()
  if phase == "init" or phase == "init_worker" then
    return nil, "API disabled in the current context"
  end
  local pids = {}
  for i = 1, worker.count() do
    pids[i] = worker.pid()
  end
  return pids
end
