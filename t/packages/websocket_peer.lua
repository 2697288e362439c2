-- The server half: repeats what it is told until it is told to stop.
local server = require "nginx.websocket.server"

local wb = assert(server:new { timeout = 60000, max_payload_len = 100000 })
while true do
  local data, kind, err = wb:recv_frame()
  if not data then
    ngx.log(ngx.WARN, "no frame: ", err)
    return
  end
  if kind == "text" and data == "bye" then
    wb:send_close(1000, "enough")
    return
  elseif kind == "text" then
    wb:send_text("you said " .. data)
  elseif kind == "binary" then
    wb:send_binary(data)
  elseif kind == "ping" then
    wb:send_pong(data)
  end
end
