-- B, what every other prelude file gets:
--   B.N       native functions by "topic.verb"; they check phases and arguments and raise
--   B.F       C functions, called through FFI
--   B.S       words shared with native code: S.phase, S.exiting, S.table
--   B.clock   the time this turn of the loop has
--   B.ask     passes native results on, or waits when the result is the mark of a prepared wait
--   B.ngx     the ngx table
--   B.module  adds a module that always answers to require(name)
--   B.spare   adds a module that answers when lua_package_path has none of that name
local marks, natives, ffi_rows, config = ...
local ffi = require "ffi"
local yield = coroutine.yield

ffi.cdef [[
  typedef struct { int32_t phase; int32_t exiting; int32_t table; } moonbeat_words;
]]

local B = {
  N = natives,
  F = {},
  S = ffi.cast("moonbeat_words *", marks[3]),
  -- Seconds since 1970, once the thread has a clock of its own. No loop takes them for a constant.
  clock = ffi.cast("const volatile double *", marks[4]),
  ASK = marks[1],
  config = config,
  ngx = { thread = {}, timer = {}, req = {}, resp = {}, re = {}, worker = {}, config = {} },
  spares = {},
}

for name, row in pairs(ffi_rows) do
  B.F[name] = ffi.cast(row[2], row[1])
end

local ASK = B.ASK

-- `return ask(N["topic.verb"](...))` is the whole body of a function that may wait.
function B.ask(first, ...)
  if first == ASK then
    return yield(ASK)
  end
  return first, ...
end

function B.module(name, module)
  package.preload[name] = function()
    return module
  end
end

function B.spare(name, load)
  B.spares[name] = load
end

ngx = B.ngx
package.loaded.ngx = B.ngx

return B
