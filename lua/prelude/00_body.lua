-- The function under every light thread: runs one function, reports its results, takes the next.
-- A coroutine is reused this way, because LuaJIT cannot reset one.
local marks = ...
local DONE = marks[2]
local yield = coroutine.yield

local function body(f, ...)
  return body(yield(DONE, f(...)))
end

return body
