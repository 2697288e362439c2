-- coroutine.*: a wait inside a user's coroutine suspends the whole light thread. The child yields
-- the mark, resume() passes it up to the scheduler and the answer down again.
local B = ...
local N, S, ASK = B.N, B.S, B.ASK
local band = require("bit").band
local type, error, select = type, error, select

local std = {}
for name, f in pairs(coroutine) do
  std[name] = f
end
local raw_resume, raw_yield, raw_status = std.resume, std.yield, std.status
local raw_running = std.running

-- rewrite access content timer, ssl_*: phases that run as light threads.
local YIELDABLE = 0x2 + 0x4 + 0x8 + 0x80 + 0x400 + 0x1000 + 0x4000 + 0x8000 + 0x10000 + 0x20000
  + 0x40000
-- Outside of requests and in filters, OpenResty leaves Lua's own functions in place.
local STANDARD = { [0] = true, [0x20] = true, [0x40] = true }

-- What scripts made where they cooperate: IDLE, or WAITING for native code, when they must not be
-- resumed.
local state = setmetatable({}, { __mode = "k" })
local IDLE, WAITING = 1, 2

local function cooperates()
  local phase = S.phase
  if band(phase, YIELDABLE) ~= 0 then
    return true
  end
  if STANDARD[phase] then
    return false
  end
  error("API disabled in the context of " .. N["phase.context"](), 3)
end

local function is_thread(co, name)
  if type(co) ~= "thread" then
    error("bad argument #1 to '" .. name .. "' (coroutine expected)", 3)
  end
end

-- Coroutines whose child waits for native code.
local busy = setmetatable({}, { __mode = "k" })

local function status_of(co)
  local raw = raw_status(co)
  if raw == "suspended" or raw == "dead" then
    return busy[co] and "normal" or state[co] == WAITING and "running"
      or N["coroutine.light_status"](co) or raw
  end
  return raw
end

local settle

local function go_on(co, ...)
  state[co] = IDLE
  busy[raw_running()] = nil
  return settle(co, raw_resume(co, ...))
end

function settle(co, ...)
  local ok, first = ...
  if first == ASK and ok then
    state[co] = WAITING
    busy[raw_running()] = true
    return go_on(co, raw_yield(ASK))
  end
  if not ok and first == "cannot resume running coroutine" then
    return false, "cannot resume " .. status_of(co) .. " coroutine"
  end
  return ...
end

local function resume(co, ...)
  local known = state[co]
  if known == IDLE then
    return settle(co, raw_resume(co, ...))
  end
  if known == WAITING then
    return false, "cannot resume running coroutine"
  end
  local light = N["coroutine.light_status"](co)
  if light then
    return false, "cannot resume " .. light .. " coroutine"
  end
  return settle(co, raw_resume(co, ...))
end

-- An error leaves a wrapped coroutine as it is; its frames are kept for the traceback.
local function unwrap(co, ok, ...)
  if ok then
    return ...
  end
  N["coroutine.failed"](co, (...))
  error((...), 0)
end

local native_create = N["coroutine.create"]

function coroutine.create(f)
  if cooperates() then
    local co = native_create(f)
    state[co] = IDLE
    return co
  end
  return std.create(f)
end

function coroutine.resume(co, ...)
  -- One that was made where it cooperates needs no look at the phase.
  if state[co] == IDLE then
    return settle(co, raw_resume(co, ...))
  end
  if not cooperates() then
    return raw_resume(co, ...)
  end
  is_thread(co, "resume")
  return resume(co, ...)
end

function coroutine.yield(...)
  cooperates()
  return raw_yield(...)
end

function coroutine.status(co)
  if not cooperates() then
    return raw_status(co)
  end
  is_thread(co, "status")
  return status_of(co)
end

function coroutine.wrap(f)
  if not cooperates() then
    return std.wrap(f)
  end
  local co = native_create(f)
  state[co] = IDLE
  return function(...)
    if raw_status(co) == "dead" then
      -- OpenResty does not raise here.
      return false, "cannot resume dead coroutine"
    end
    return unwrap(co, resume(co, ...))
  end
end

-- Tracebacks end at the function a light thread was entered with, which is nobody's callee.
local raw_traceback, getinfo, gsub, find = debug.traceback, debug.getinfo, string.gsub, string.find

local function entry_words()
  for level = 3, 200 do
    local frame, below = getinfo(level, "S"), getinfo(level + 1, "S")
    if not below then
      return nil
    end
    if below.short_src == "moonbeat:00_body" then
      return frame.what == "main" and "in main chunk"
        or "in function <" .. frame.short_src .. ":" .. frame.linedefined .. ">"
    end
  end
end

function debug.traceback(first, ...)
  local text
  if type(first) == "thread" then
    text = raw_traceback(first, ...)
  elseif first ~= nil and type(first) ~= "string" and type(first) ~= "number" then
    return first
  else
    local level = ...
    text = raw_traceback(first, (level or 1) + 1)
  end
  if type(text) ~= "string" or not find(text, "moonbeat:00_body", 1, true) then
    return text
  end
  local words = entry_words()
  text = gsub(text, "\n\tmoonbeat:00_body:[^\n]*", "")
  if words and type(first) ~= "thread" then
    text = gsub(text, "in function 'f'$", (gsub(words, "%%", "%%%%")))
  end
  return text
end

-- A light thread can always yield; OpenResty has no such function.
coroutine.isyieldable = nil

-- OpenResty keeps Lua's own functions under these names, and its own ones under those.
for _, name in ipairs { "create", "resume", "yield", "status", "wrap" } do
  coroutine["_" .. name] = std[name]
  coroutine["__" .. name] = coroutine[name]
end
