ngx.sleep and the scheduler of light threads.

=== TEST 1: it takes its time and lets others run
--- config
    location /t {
        content_by_lua_block {
            local begun = ngx.now()
            ngx.sleep(0.15)
            ngx.update_time()
            local took = ngx.now() - begun
            ngx.say(took >= 0.149)
        }
    }
--- request
GET /t
--- response_body
true


=== TEST 2: bad arguments
--- config
    location /t {
        content_by_lua_block {
            ngx.say(select(2, pcall(ngx.sleep, -1)))
            ngx.say(select(2, pcall(ngx.sleep, "a")))
        }
    }
--- request
GET /t
--- response_body_like
invalid sleep duration "-\d+"
bad argument #1 to '(sleep|\?)' \(number expected, got string\)


=== TEST 3: zero yields
--- config
    location /t {
        content_by_lua_block {
            local order = {}
            local t = ngx.thread.spawn(function() order[#order + 1] = "a1" ngx.sleep(0) order[#order + 1] = "a2" end)
            order[#order + 1] = "main"
            ngx.thread.wait(t)
            ngx.say(table.concat(order, " "))
        }
    }
--- request
GET /t
--- response_body
a1 main a2


=== TEST 4: inside a user coroutine the whole light thread waits
--- config
    location /t {
        content_by_lua_block {
            local co = coroutine.wrap(function()
                ngx.sleep(0.01)
                coroutine.yield(1)
                ngx.sleep(0.01)
                return 2
            end)
            ngx.say(co(), co())
            local ok, err = pcall(function() ngx.sleep(0.01) error("after", 0) end)
            ngx.say(ok, " ", err)
        }
    }
--- request
GET /t
--- response_body
12
false after


=== TEST 5: those a semaphore has woken elsewhere run before a sleep of nothing is over
--- http_config
    init_worker_by_lua_block {
        local semaphore = require "ngx.semaphore"
        posted, order = semaphore.new(), {}
        ngx.timer.at(0, function()
            order[#order + 1] = "waits"
            while posted:wait(10) do
                order[#order + 1] = "woken"
            end
        end)
    }
--- config
    location /t {
        content_by_lua_block {
            while not order[1] do
                ngx.sleep(0.001)
            end
            for _ = 1, 2 do
                posted:post()
                order[#order + 1] = "posted"
                ngx.sleep(0)
                order[#order + 1] = "slept"
            end
            ngx.say(table.concat(order, " "))
        }
    }
--- request
GET /t
--- response_body
waits posted woken slept posted woken slept
