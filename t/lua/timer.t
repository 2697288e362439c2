ngx.timer

=== TEST 1: at runs later, with arguments, outside the request
--- http_config
    lua_shared_dict d 1m;
--- config
    location /t {
        content_by_lua_block {
            local ok, err = ngx.timer.at(0.05, function(premature, a, b)
                ngx.shared.d:set("seen", tostring(premature) .. a .. b .. ngx.get_phase())
            end, "x", 1)
            ngx.say(ok, " ", err)
            for _ = 1, 6000 do if ngx.shared.d:get("seen") then break end ngx.sleep(0.01) end
            ngx.say(ngx.shared.d:get("seen"))
        }
    }
--- request
GET /t
--- response_body
1 nil
falsex1timer


=== TEST 2: every repeats
--- http_config
    lua_shared_dict d 1m;
--- config
    location /t {
        content_by_lua_block {
            local d, begun = ngx.shared.d, ngx.now()
            ngx.timer.every(0.05, function() d:incr("n", 1, 0) end)
            for _ = 1, 6000 do if (d:get("n") or 0) >= 4 then break end ngx.sleep(0.01) end
            ngx.update_time()
            ngx.say(d:get("n") >= 4, " ", ngx.now() - begun >= 0.19)
        }
    }
--- request
GET /t
--- response_body
true true


=== TEST 3: no request in a timer
--- config
    location /t {
        content_by_lua_block {
            ngx.timer.at(0, function() ngx.log(ngx.WARN, "say: ", select(2, pcall(ngx.say, "x"))) end)
            ngx.say("ok")
        }
    }
--- request
GET /t
--- response_body
ok
--- error_log
say: API disabled in the context of ngx.timer


=== TEST 4: an error in a timer
--- config
    location /t {
        content_by_lua_block {
            local timer = ngx.timer
            timer.at(0, function() error("in timer") end)
            for _ = 1, 6000 do if timer.pending_count() + timer.running_count() == 0 then break end ngx.sleep(0.01) end
            ngx.say(timer.pending_count(), timer.running_count())
        }
    }
--- request
GET /t
--- response_body
00
--- error_log eval
[qr/\[error\].*lua entry thread aborted: runtime error: content_by_lua\(nginx\.conf:\d+\):3: in timer/, "context: ngx.timer"]


=== TEST 5: too many pending
--- http_config
    lua_max_pending_timers 1;
--- config
    location /t {
        content_by_lua_block {
            ngx.say(ngx.timer.at(1, function() end))
            ngx.say(ngx.timer.at(1, function() end))
        }
    }
--- request
GET /t
--- response_body
1
niltoo many pending timers


=== TEST 6: a pending timer runs early when the server quits
--- master_on
--- config
    location /t {
        content_by_lua_block {
            ngx.timer.at(100, function(premature) ngx.log(ngx.WARN, "premature: ", premature) end)
            ngx.say("ok")
        }
    }
--- request
GET /t
--- response_body
ok
--- shutdown_error_log
premature: true


=== TEST 7: timers from init_worker use cosockets
--- http_config
    lua_shared_dict d 1m;
    init_worker_by_lua_block {
        ngx.timer.at(0.02, function()
            local s = ngx.socket.tcp()
            local ok, err = s:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT)
            if not ok then ngx.log(ngx.ERR, err) return end
            s:send("GET /hit HTTP/1.0\r\n\r\n")
            ngx.shared.d:set("line", (s:receive()))
            s:close()
        end)
    }
--- config
    location /hit { return 200 "x"; }
    location /t {
        content_by_lua_block {
            for _ = 1, 6000 do if ngx.shared.d:get("line") then break end ngx.sleep(0.01) end
            ngx.say(ngx.shared.d:get("line"))
        }
    }
--- request
GET /t
--- response_body
HTTP/1.1 200 OK
