-- ngx.sleep
local B = ...
local N, ask = B.N, B.ask

function B.ngx.sleep(...)
  return ask(N["sleep.sleep"](...))
end
