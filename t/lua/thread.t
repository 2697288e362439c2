ngx.thread and coroutine.

=== TEST 1: spawn and wait for results
--- config
    location /t {
        content_by_lua_block {
            local t = ngx.thread.spawn(function(a, b) ngx.sleep(0.01) return a + b, "two" end, 1, 2)
            ngx.say(coroutine.status(t))
            ngx.say(ngx.thread.wait(t))
            ngx.say(coroutine.status(t))
        }
    }
--- request
GET /t
--- response_body
running
true3two
dead


=== TEST 2: the first that ends
--- config
    location /t {
        content_by_lua_block {
            local function nap(s) return function() ngx.sleep(s) return s end end
            local a = ngx.thread.spawn(nap(30))
            local b = ngx.thread.spawn(nap(0.05))
            ngx.say(ngx.thread.wait(a, b))
            ngx.say(ngx.thread.kill(a))
            ngx.say(ngx.thread.kill(a))
        }
    }
--- request
GET /t
--- response_body
true0.05
1
nilalready waited or killed


=== TEST 3: an error in a thread is the waiter's value and a line in the log
--- config
    location /t {
        content_by_lua_block {
            local t = ngx.thread.spawn(function() error("oops") end)
            ngx.say(ngx.thread.wait(t))
        }
    }
--- request
GET /t
--- response_body_like: ^false.*content_by_lua\(nginx\.conf:\d+\):2: oops$
--- error_log
lua user thread aborted: runtime error: content_by_lua


=== TEST 4: the request waits for its threads
--- config
    location /t {
        content_by_lua_block {
            ngx.thread.spawn(function() ngx.sleep(0.05) ngx.say("from thread") end)
            ngx.say("main is done")
        }
    }
--- request
GET /t
--- response_body
main is done
from thread


=== TEST 5: exit ends all of them
--- config
    location /t {
        content_by_lua_block {
            ngx.thread.spawn(function() ngx.sleep(0.5) ngx.log(ngx.ERR, "never") end)
            ngx.say("bye")
            ngx.exit(200)
        }
    }
--- request
GET /t
--- wait: 0.7
--- response_body
bye
--- no_error_log
never


=== TEST 6: coroutine statuses, wrap, and errors through resume
--- config
    location /t {
        content_by_lua_block {
            local co
            co = coroutine.create(function(x)
                ngx.say(coroutine.status(co), " ", coroutine.running() == co)
                local y = coroutine.yield(x + 1)
                error("bad " .. y)
            end)
            ngx.say(coroutine.status(co))
            ngx.say(coroutine.resume(co, 1))
            ngx.say(coroutine.status(co))
            local ok, err = coroutine.resume(co, "y")
            ngx.say(ok, " ", err:match("bad y"))
            ngx.say(coroutine.resume(co))
        }
    }
--- request
GET /t
--- response_body
suspended
running true
true2
suspended
false bad y
falsecannot resume dead coroutine


=== TEST 7: waiting twice, and waiting for what is no thread
--- config
    location /t {
        content_by_lua_block {
            local t = ngx.thread.spawn(function() return 1 end)
            ngx.say(ngx.thread.wait(t))
            ngx.say(ngx.thread.wait(t))
        }
    }
--- request
GET /t
--- response_body
true1
nilalready waited or killed
