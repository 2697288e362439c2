-- ngx.exit, exec, redirect, on_abort
local B = ...
local N, ngx, ask = B.N, B.ngx, B.ask

function ngx.exit(status)
  return ask(N["control.exit"](status))
end

ngx.on_abort = N["control.on_abort"]

function ngx.exec(...)
  return ask(N["control.exec"](...))
end

function ngx.redirect(...)
  return ask(N["control.redirect"](...))
end
