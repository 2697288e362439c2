-- jit.v: a line for every trace the JIT compiler makes or gives up.
local util = require "jit.util"
local attach, type, tostring = jit.attach, type, tostring
local format = string.format

local out
local start_at, start_from

local function place(func, pc)
  local info = util.funcinfo(func, pc)
  if info.loc then
    return info.loc
  end
  if info.ffid then
    return "builtin#" .. info.ffid
  end
  return info.addr and format("C:%x", info.addr) or "(?)"
end

local function linked(trace, func, pc)
  local info = util.traceinfo(trace)
  local link, kind = info.link, info.linktype
  if kind == "interpreter" then
    return " -- fallback to interpreter"
  elseif kind == "stitch" then
    return " stitch " .. place(func, pc)
  elseif link == trace or link == 0 then
    return " " .. kind
  elseif kind == "root" then
    return " -> " .. link
  end
  return " -> " .. link .. " " .. kind
end

local function on_trace(what, trace, func, pc, other, exit)
  if what == "start" then
    start_at = place(func, pc)
    if not other then
      start_from = ""
    elseif exit == -1 then
      start_from = "(" .. other .. "/stitch) "
    else
      start_from = "(" .. other .. "/" .. exit .. ") "
    end
  elseif what == "stop" then
    out:write(format("[TRACE %3s %s%s%s]\n", trace, start_from, start_at, linked(trace, func, pc)))
  elseif what == "abort" then
    out:write(format("[TRACE --- %s%s -- error %s at %s]\n", start_from, start_at,
      tostring(other), place(func, pc)))
  elseif what == "flush" then
    out:write("[TRACE flush]\n")
  else
    return
  end
  out:flush()
end

local v = {}

function v.off()
  if not out then
    return
  end
  attach(on_trace)
  if out ~= io.stdout and out ~= io.stderr then
    out:close()
  end
  out = nil
end

-- Files are appended to: the error log may be one.
function v.on(file)
  v.off()
  file = file or os.getenv("LUAJIT_VERBOSEFILE")
  if not file then
    out = io.stderr
  elseif file == "-" then
    out = io.stdout
  else
    out = assert(io.open(file, "a"))
  end
  attach(on_trace, "trace")
end

v.start = v.on

return v
