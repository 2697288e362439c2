lua_thread_max_cpu_time, lua_vm_max_memory

=== TEST 1: a light thread that runs away ends with an error, and the worker lives on
--- http_config
    lua_thread_max_cpu_time 200ms;
--- config
    location = /t {
        content_by_lua_block {
            local res = ngx.location.capture("/away")
            ngx.say(res.status)
            res = ngx.location.capture("/caught")
            ngx.say(res.status)
            ngx.say("alive")
        }
    }
    location = /away { content_by_lua_block { while true do end } }
    location = /caught {
        content_by_lua_block { while true do pcall(function() while true do end end) end }
    }
--- request
GET /t
--- response_body
500
500
alive
--- error_log
lua_thread_max_cpu_time of 200ms exceeded


=== TEST 2: waiting costs no time
--- http_config
    lua_thread_max_cpu_time 200ms;
--- config
    location = /t {
        content_by_lua_block {
            for _ = 1, 30 do
                ngx.sleep(0.01)
            end
            ngx.say("done")
        }
    }
--- request
GET /t
--- response_body
done
--- no_error_log
exceeded


=== TEST 3: a VM that is full fails the request, not the process
--- http_config
    lua_vm_max_memory 24m;
--- config
    location = /t {
        content_by_lua_block {
            for _ = 1, 3 do
                ngx.say(ngx.location.capture("/greedy").status, " ",
                    ngx.location.capture("/modest").body)
            end
        }
    }
    location = /greedy {
        content_by_lua_block {
            local all = {}
            for i = 1, 1e6 do
                all[i] = string.rep("x", 1000) .. i
            end
            ngx.print("never")
        }
    }
    location = /modest { content_by_lua_block { ngx.print(#string.rep("x", 1e6)) } }
--- request
GET /t
--- response_body
500 1000000
500 1000000
500 1000000
--- error_log
not enough memory


=== TEST 4: filters and timers too
--- http_config
    lua_thread_max_cpu_time 200ms;
    lua_shared_dict d 1m;
--- config
    location = /t {
        content_by_lua_block {
            ngx.timer.at(0, function()
                ngx.timer.at(0, function() ngx.shared.d:set("alive", true) end)
                while true do end
            end)
            for _ = 1, 6000 do if ngx.shared.d:get("alive") then break end ngx.sleep(0.01) end
            ngx.say(ngx.shared.d:get("alive"))
        }
        log_by_lua_block { while true do end }
    }
--- request
GET /t
--- response_body
true
--- error_log
lua_thread_max_cpu_time of 200ms exceeded
failed to run log_by_lua*
