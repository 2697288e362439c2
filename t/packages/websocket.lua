-- lua-nginx-websocket: a client that talks with websocket_peer.lua.
local client = require "nginx.websocket.client"

local wb = assert(client:new { timeout = 60000, max_payload_len = 100000 })
assert(wb:connect("ws://127.0.0.1:" .. ngx.var.server_port .. "/peer"))
assert(wb:send_text("hello"))
local data, kind = wb:recv_frame()
ngx.say(kind, ": ", data)
assert(wb:send_binary(string.rep("x", 70000)))
data, kind = wb:recv_frame()
ngx.say(kind, ": ", #data)
assert(wb:send_ping("are you there"))
data, kind = wb:recv_frame()
ngx.say(kind, ": ", data)
assert(wb:send_text("bye"))
local code
data, kind, code = wb:recv_frame()
ngx.say(kind, ": ", code, " ", data)
