ngx.exit, ngx.exec, ngx.redirect, phases and errors.

=== TEST 1: exit in each phase
--- config
    location /rewrite { rewrite_by_lua_block { ngx.exit(403) } content_by_lua_block { ngx.say("no") } }
    location /access { access_by_lua_block { ngx.exit(ngx.HTTP_UNAUTHORIZED) } content_by_lua_block { ngx.say("no") } }
    location /content { content_by_lua_block { ngx.exit(503) } }
    location /ok { access_by_lua_block { ngx.exit(ngx.OK) } content_by_lua_block { ngx.say("yes") } }
    location /said { content_by_lua_block { ngx.say("said") ngx.exit(200) ngx.say("never") } }
--- request eval
["GET /rewrite", "GET /access", "GET /content", "GET /ok", "GET /said"]
--- error_code eval
[403, 401, 503, 200, 200]


=== TEST 2: exit with a status that was set and a body
--- config
    location /t {
        access_by_lua_block {
            ngx.status = 418
            ngx.say("teapot")
            ngx.exit(ngx.HTTP_OK)
        }
        content_by_lua_block { ngx.say("never") }
    }
--- request
GET /t
--- error_code: 418
--- response_body
teapot


=== TEST 3: exec to a location and to a named one
--- config
    location /a { content_by_lua_block { ngx.exec("/b", { x = 1 }) } }
    location /n { content_by_lua_block { ngx.exec("@named") } }
    location /b { return 200 "b $args\n"; }
    location @named { return 200 "named $uri\n"; }
--- request eval
["GET /a?old=1", "GET /n"]
--- response_body eval
["b x=1\n", "named /n\n"]


=== TEST 4: redirect
--- config
    location /a { content_by_lua_block { return ngx.redirect("/b?x=1") } }
    location /p { content_by_lua_block { return ngx.redirect("http://example.com/", 301) } }
    location /bad { content_by_lua_block { return ngx.redirect("/b", 200) } }
--- request eval
["GET /a", "GET /p", "GET /bad"]
--- error_code eval
[302, 301, 500]
--- response_headers eval
["Location: /b?x=1", "Location: http://example.com/", "!Location"]


=== TEST 5: an error is a 500 with a traceback in the log
--- config
    location /t {
        content_by_lua_block {
            local function deep() error("boom") end
            deep()
        }
    }
--- request
GET /t
--- error_code: 500
--- error_log eval
[qr/\[error\] \d+#\d+: \*\d+ lua entry thread aborted: runtime error: content_by_lua\(nginx\.conf:\d+\):\d+: boom/, "stack traceback:", "coroutine 0:", "in function 'deep'"]


=== TEST 6: an error after the head was sent cuts the answer
--- config
    location /t { content_by_lua_block { ngx.say("a") ngx.flush(true) error("late") } }
--- request
GET /t
--- response_body
a
--- error_log
late


=== TEST 7: errors that are tables
--- config
    location /t { content_by_lua_block { error({}) } }
--- request
GET /t
--- error_code: 500
--- error_log
lua entry thread aborted: runtime error: unknown reason


=== TEST 8: phases run in order and share ctx
--- config
    location /t {
        set_by_lua_block $set { return "s" }
        rewrite_by_lua_block { ngx.ctx.path = ngx.var.set .. " " .. ngx.get_phase() }
        access_by_lua_block { ngx.ctx.path = ngx.ctx.path .. " " .. ngx.get_phase() }
        content_by_lua_block { ngx.say(ngx.ctx.path, " ", ngx.get_phase()) }
        header_filter_by_lua_block { ngx.header["X-Path"] = ngx.ctx.path .. " " .. ngx.get_phase() }
        log_by_lua_block { ngx.log(ngx.WARN, "path: ", ngx.ctx.path, " ", ngx.get_phase()) }
    }
--- request
GET /t
--- response_body
s rewrite access content
--- response_headers
X-Path: s rewrite access header_filter
--- error_log
path: s rewrite access log


=== TEST 9: init and init_worker
--- http_config
    init_by_lua_block { started = ngx.get_phase() }
    init_worker_by_lua_block { worker = ngx.get_phase() }
--- config
    location /t { content_by_lua_block { ngx.say(started, " ", worker) } }
--- request
GET /t
--- response_body
init init_worker


=== TEST 10: a syntax error in the code
--- config
    location /t { content_by_lua_block { if } }
--- request
GET /t
--- error_code: 500
--- error_log eval
qr/failed to load inlined Lua code: content_by_lua\(nginx\.conf:\d+\):1: unexpected symbol near/


=== TEST 11: API out of its phase
--- config
    location /t {
        content_by_lua_block { ngx.say("x") }
        log_by_lua_block { ngx.log(ngx.WARN, "log: ", select(2, pcall(ngx.sleep, 0))) }
    }
--- request
GET /t
--- error_log
log: API disabled in the context of log_by_lua*


=== TEST 12: code from a file
--- config
    location /t { content_by_lua_file html/a.lua; }
    location /none { content_by_lua_file html/none.lua; }
--- user_files
>>> a.lua
ngx.say("file ", ngx.var.uri)
--- request eval
["GET /t", "GET /none"]
--- error_code eval
[200, 404]


=== TEST 13: modules are loaded once
--- http_config
    lua_package_path "$TEST_NGINX_HTML_DIR/?.lua;;";
--- config
    location /t {
        content_by_lua_block {
            local m = require "counter"
            m.n = m.n + 1
            ngx.say(m.n)
        }
    }
--- user_files
>>> counter.lua
return { n = 0 }
--- request eval
["GET /t", "GET /t"]
--- response_body eval
["1\n", "2\n"]


=== TEST 14: the content of ngx.arg at set_by_lua
--- config
    location /t {
        set_by_lua $sum 'return ngx.arg[1] + ngx.arg[2]' $arg_a $arg_b;
        return 200 "$sum\n";
    }
--- request
GET /t?a=2&b=40
--- response_body
42
