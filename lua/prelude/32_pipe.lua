-- ngx.pipe
local B = ...
local N, S, ask = B.N, B.S, B.ask
local ffi = require "ffi"
local type, tostring, tonumber, error, ipairs = type, tostring, tonumber, error, ipairs
local concat, find = table.concat, string.find

ffi.cdef [[
  typedef struct {
    double id; double process_id;
    double write_timeout; double stdout_read_timeout; double stderr_read_timeout;
    double wait_timeout;
  } moonbeat_child;
]]

local ALL, BYTES, LINE, ANY = 0, 1, 2, 3
local TIMEOUT_MAX = 0xffffffff
local TIMEOUTS = { "write_timeout", "stdout_read_timeout", "stderr_read_timeout", "wait_timeout" }

local methods = {}

local function check(proc)
  if type(proc) ~= "cdata" then
    error("not a process instance", 3)
  end
end

local function set_timeouts(proc, level, ...)
  for i, name in ipairs(TIMEOUTS) do
    local timeout = (select(i, ...))
    if timeout then
      if timeout < 0 or timeout > TIMEOUT_MAX then
        error("bad " .. name .. " option", level + 1)
      end
      proc[name] = timeout
    end
  end
end

function methods.pid(proc)
  return proc.process_id
end

function methods.set_timeouts(proc, ...)
  set_timeouts(proc, 2, ...)
end

-- No tail calls where a native waits: the frame keeps the handle from being collected.
local function read(proc, from_stderr, kind, length)
  local timeout = from_stderr and proc.stderr_read_timeout or proc.stdout_read_timeout
  local data, err, partial = ask(N["pipe.read"](proc.id, from_stderr, kind, length, timeout))
  return data, err, partial
end

for name, from_stderr in pairs { stdout = false, stderr = true } do
  methods[name .. "_read_all"] = function(proc)
    check(proc)
    return read(proc, from_stderr, ALL, 0)
  end

  methods[name .. "_read_bytes"] = function(proc, length)
    check(proc)
    if length <= 0 then
      if length < 0 then
        error("bad len argument", 2)
      end
      return ""
    end
    return read(proc, from_stderr, BYTES, length)
  end

  methods[name .. "_read_line"] = function(proc)
    check(proc)
    return read(proc, from_stderr, LINE, 0)
  end

  methods[name .. "_read_any"] = function(proc, max)
    check(proc)
    max = tonumber(max)
    if not max or max <= 0 then
      error("bad max argument", 2)
    end
    return read(proc, from_stderr, ANY, max)
  end
end

function methods.write(proc, data)
  check(proc)
  local kind = type(data)
  if kind == "table" then
    data = concat(data, "")
  elseif kind == "number" then
    data = tostring(data)
  elseif kind ~= "string" then
    error("bad data arg: string, number, or table expected, got " .. kind, 2)
  end
  local bytes, err = ask(N["pipe.write"](proc.id, data, proc.write_timeout))
  if bytes then
    return bytes
  end
  return nil, err
end

function methods.shutdown(proc, direction)
  check(proc)
  if direction ~= "stdin" and direction ~= "stdout" and direction ~= "stderr" then
    error("bad shutdown arg: " .. direction, 2)
  end
  return N["pipe.shutdown"](proc.id, direction)
end

function methods.wait(proc)
  check(proc)
  local ok, reason, status = ask(N["pipe.wait"](proc.id, proc.wait_timeout))
  return ok, reason, status
end

function methods.kill(proc, signal)
  check(proc)
  if type(signal) ~= "number" then
    error("bad signal arg: number expected, got " .. tostring(signal), 2)
  end
  return N["pipe.kill"](proc.id, signal)
end

local child = ffi.metatype("moonbeat_child", {
  __index = methods,
  __gc = function(proc)
    N["pipe.free"](proc.id)
  end,
})

local function check_environ(environ)
  if type(environ) ~= "table" then
    error("bad environ option: table expected, got " .. type(environ), 3)
  end
  for i, pair in ipairs(environ) do
    if type(pair) ~= "string" then
      error("bad value at index " .. i .. " of environ option: string expected, got "
        .. type(pair), 3)
    end
    if not find(pair, "=", 2, true) then
      error("bad value at index " .. i .. " of environ option: 'name=[value]' format expected, "
        .. "got '" .. pair .. "'", 3)
    end
  end
  return environ[1] and environ or nil
end

-- A string is a command of the shell; a list ends at its first nil.
local function words_of(args)
  if type(args) == "string" then
    return { "/bin/sh", "-c", args }
  end
  if type(args) ~= "table" then
    error("bad args arg: table expected, got " .. type(args), 3)
  end
  if args[1] == nil then
    error("bad args arg: non-empty table expected", 3)
  end
  local words = {}
  for i, word in ipairs(args) do
    words[i] = tostring(word)
  end
  return words
end

local function spawn(args, opts)
  if S.phase == 0 then
    error("API disabled in the current context", 2)
  end
  local words, environ, buffer_size = words_of(args), nil, 4096
  opts = opts or {}
  if opts.buffer_size then
    buffer_size = tonumber(opts.buffer_size)
    if not buffer_size or buffer_size < 1 then
      error("bad buffer_size option", 2)
    end
  end
  if opts.environ then
    environ = check_environ(opts.environ)
  end
  local proc = child(-1, 0, 10000, 10000, 10000, 10000)
  set_timeouts(proc, 2, opts.write_timeout, opts.stdout_read_timeout, opts.stderr_read_timeout,
    opts.wait_timeout)
  local id, pid = N["pipe.spawn"](words, opts.merge_stderr and true or false, buffer_size, environ)
  if not id then
    return nil, pid
  end
  proc.id, proc.process_id = id, pid
  return proc
end

B.module("ngx.pipe", { version = "0.1.32", spawn = spawn })
