ngx.location.capture and capture_multi.

=== TEST 1: status, body, headers, arguments
--- config
    location /t {
        content_by_lua_block {
            local r = ngx.location.capture("/sub?a=1", { args = { b = 2 } })
            ngx.say(r.status, " ", r.header["X-Sub"], " ", r.truncated)
            ngx.print(r.body)
        }
    }
    location /sub {
        content_by_lua_block {
            ngx.status = 201
            ngx.header["X-Sub"] = "yes"
            ngx.say(ngx.var.args, " ", ngx.req.get_method())
        }
    }
--- request
GET /t
--- response_body
201 yes false
a=1&b=2 GET


=== TEST 2: method and body
--- config
    location /t {
        content_by_lua_block {
            local r = ngx.location.capture("/sub", { method = ngx.HTTP_POST, body = "hello" })
            ngx.print(r.body)
        }
    }
    location /sub {
        content_by_lua_block { ngx.req.read_body() ngx.say(ngx.req.get_method(), " ", ngx.req.get_body_data(), " ", ngx.is_subrequest) }
    }
--- request
GET /t
--- response_body
POST hello true


=== TEST 3: variables and context
--- config
    location /t {
        set $v parent;
        content_by_lua_block {
            local ctx = {}
            ngx.location.capture("/sub", { share_all_vars = true, ctx = ctx })
            ngx.say(ngx.var.v, " ", ctx.seen)
            ngx.location.capture("/sub", { copy_all_vars = true })
            ngx.say(ngx.var.v)
            local r = ngx.location.capture("/sub", { vars = { v = "given" } })
            ngx.say(r.body)
        }
    }
    location /sub {
        content_by_lua_block { ngx.ctx.seen = ngx.var.v ngx.print(ngx.var.v) ngx.var.v = "child" }
    }
--- request
GET /t
--- response_body
child parent
child
given


=== TEST 4: several at once, in the order of the list
--- http_config
    lua_shared_dict begun 100k;
--- config
    location /t {
        content_by_lua_block {
            local a, b = ngx.location.capture_multi {
                { "/slow?n=1" },
                { "/slow?n=2", { args = { m = 3 } } },
            }
            ngx.say(a.body, b.body)
        }
    }
    location /slow {
        content_by_lua_block {
            -- The first ends only when the second has begun, and after it.
            local begun, n, m = ngx.shared.begun, ngx.var.arg_n, ngx.var.arg_m
            begun:set(n, true)
            for _ = 1, 6000 do
                if begun:get("2") then break end
                ngx.sleep(0.01)
            end
            if n == "1" then ngx.sleep(0.01) end
            ngx.print(n, m, ";")
        }
    }
--- request
GET /t
--- response_body
1nil;23;


=== TEST 5: an error status is a value, not an error
--- config
    location /t { content_by_lua_block { ngx.say(ngx.location.capture("/none").status) } }
--- request
GET /t
--- response_body
404


=== TEST 6: through a proxy
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; return 200 "up $http_x\n"; }
--- config
    location /t {
        content_by_lua_block {
            ngx.req.set_header("X", "y")
            local r = ngx.location.capture("/proxy")
            ngx.print(r.body)
        }
    }
    location /proxy { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request
GET /t
--- response_body
up y
