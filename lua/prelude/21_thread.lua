-- ngx.thread
local B = ...
local N, ask = B.N, B.ask
local thread = B.ngx.thread

function thread.spawn(...)
  return ask(N["thread.spawn"](...))
end

function thread.wait(...)
  return ask(N["thread.wait"](...))
end

thread.kill = N["thread.kill"]
