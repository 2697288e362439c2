-- ngx.log, print, ngx.errlog
local B = ...
local N, ngx = B.N, B.ngx
local type, select, tostring, getmetatable = type, select, tostring, getmetatable
local log, write_print = N["log.log"], N["log.print"]

-- A table speaks through its __tostring; native code must not call it.
local function spoken(n, first, ...)
  if n == 0 then
    return
  end
  if type(first) == "table" then
    local meta = getmetatable(first)
    if meta and meta.__tostring then
      first = tostring(first)
    end
  end
  return first, spoken(n - 1, ...)
end

local function has_table(...)
  for i = 1, select("#", ...) do
    if type((select(i, ...))) == "table" then
      return true
    end
  end
end

function ngx.log(level, ...)
  if has_table(...) then
    return log(level, spoken(select("#", ...), ...))
  end
  return log(level, ...)
end

function print(...)
  if has_table(...) then
    return write_print(spoken(select("#", ...), ...))
  end
  return write_print(...)
end

local levels = {
  STDERR = 0, EMERG = 1, ALERT = 2, CRIT = 3, ERR = 4, WARN = 5, NOTICE = 6, INFO = 7, DEBUG = 8,
}
for name, level in pairs(levels) do
  ngx[name] = level
end

local errlog = {}

function errlog.raw_log(level, message)
  if type(level) ~= "number" then
    error("bad argument #1 to 'raw_log' (must be a number)", 2)
  end
  if type(message) ~= "string" then
    error("bad argument #2 to 'raw_log' (must be a string)", 2)
  end
  if level < 0 or level > 8 then
    error("bad log level", 2)
  end
  return N["log.raw"](level, message)
end

errlog.get_sys_filter_level = N["log.level"]

function errlog.set_filter_level(level)
  if not level then
    return nil, [[missing "level" argument]]
  end
  return N["errlog.set_filter_level"](level)
end

-- Level, time and text of each line, oldest first.
function errlog.get_logs(max, logs)
  max, logs = max or 10, logs or {}
  local n = 0
  for _ = 1, max do
    local level, time, text = N["errlog.next"]()
    if level == nil then
      return nil, time
    end
    if not level then
      break
    end
    logs[n + 1], logs[n + 2], logs[n + 3] = level, time, text
    n = n + 3
  end
  logs[n + 1] = nil
  return logs
end

B.module("ngx.errlog", errlog)
