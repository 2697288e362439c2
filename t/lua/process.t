=== the privileged agent runs init_worker, timers and sockets, and has no number
--- master_on
--- http_config
    lua_shared_dict told 1m;
    init_by_lua_block {
        local process = require "ngx.process"
        in_init = process.type() .. " " .. tostring(ngx.worker.id())
        assert(process.enable_privileged_agent(64))
    }
    init_worker_by_lua_block {
        local kind = require("ngx.process").type()
        local told = ngx.shared.told
        if kind ~= "privileged agent" then
            return
        end
        ngx.timer.at(0, function()
            told:set("kind", kind)
            told:set("number", tostring(ngx.worker.id()))
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT))
            assert(sock:send("GET /seen HTTP/1.0\r\n\r\n"))
            sock:receive("*a")
        end)
    }
--- config
location = /seen {
  content_by_lua_block {
    ngx.shared.told:set("by", require("ngx.process").type())
    ngx.say("ok")
  }
}
location = /t {
  content_by_lua_block {
    local told = ngx.shared.told
    while not told:get("by") do
        ngx.sleep(0.01)
    end
    ngx.say(in_init)
    ngx.say(told:get("kind"), ", number ", told:get("number"))
    ngx.say("answered by a ", told:get("by"), ", so is this: ", require("ngx.process").type(),
        " ", type(ngx.worker.id()), " of ", ngx.worker.count())
  }
}
--- request
GET /t
--- response_body
master nil
privileged agent, number nil
answered by a worker, so is this: worker number of 1
--- error_log
start privileged agent process
--- no_error_log
[error]



=== no agent without a master, nor without connections, nor later
--- http_config
    init_by_lua_block {
        local process = require "ngx.process"
        refused = { process.enable_privileged_agent(-1) }
        allowed = process.enable_privileged_agent()
    }
--- config
location = /t {
  content_by_lua_block {
    local process = require "ngx.process"
    ngx.say(process.type())
    ngx.say(refused[1], " ", refused[2], " ", allowed)
    ngx.say(process.enable_privileged_agent())
  }
}
--- request
GET /t
--- response_body
single
nil bad 'connections' argument: number expected and greater than 0 true
nilAPI disabled in the current context
--- no_error_log
start privileged agent process



=== an agent without connections is not started
--- master_on
--- http_config
    init_by_lua_block {
        assert(require("ngx.process").enable_privileged_agent(0))
    }
--- config
location = /t {
  return 200 "served\n";
}
--- request
GET /t
--- response_body
served
--- error_log
0 worker_connection is not enough, privileged agent process cannot be spawned
--- no_error_log
start privileged agent process
