-- ngx.say, print, flush, eof, send_headers
local B = ...
local N, ngx, ask = B.N, B.ngx, B.ask

ngx.say = N["output.say"]
ngx.print = N["output.print"]
ngx.eof = N["output.eof"]
ngx.send_headers = N["output.send_headers"]

function ngx.flush(...)
  return ask(N["output.flush"](...))
end
