ngx.req.*

=== TEST 1: headers in
--- config
    location /t {
        content_by_lua_block {
            local h = ngx.req.get_headers()
            ngx.say(h["x-one"], " ", h.x_two, " ", table.concat(h["X-Many"], ","), " ", h["x-none"])
            local raw = ngx.req.get_headers(nil, true)
            ngx.say(raw["X-One"], " ", raw["x-one"])
        }
    }
--- more_headers
X-One: 1
X-Two: 2
X-Many: a
X-Many: b
--- request
GET /t
--- response_body
1 2 a,b nil
1 nil


=== TEST 2: set and clear headers
--- config
    location /t {
        rewrite_by_lua_block {
            ngx.req.set_header("X-New", "n")
            ngx.req.set_header("X-List", { "a", "b" })
            ngx.req.clear_header("X-Old")
        }
        proxy_set_header Connection close;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back;
    }
    location /back {
        content_by_lua_block {
            ngx.say(ngx.var.http_x_new, " ", ngx.var.http_x_old, " ", ngx.var.http_x_list)
        }
    }
--- more_headers
X-Old: o
--- request
GET /t
--- response_body_like: ^n nil a(, b)?$


=== TEST 3: arguments
--- config
    location /t {
        content_by_lua_block {
            local a = ngx.req.get_uri_args()
            ngx.say(a.a, "|", a.b[1], "|", a.b[2], "|", a.c, "|", a["d e"])
            ngx.req.set_uri_args({ x = 1, y = { "p q", true } })
            ngx.say(ngx.var.args:find("x=1", 1, true) and "x" or "", ngx.var.args:find("y=p%20q&y", 1, true) and "y" or "")
            ngx.req.set_uri_args("k=v")
            ngx.say(ngx.var.args)
        }
    }
--- request
GET /t?a=1&b=2&b=3&c&d%20e=f+g
--- response_body
1|2|3|true|f g
xy
k=v


=== TEST 4: too many arguments are told
--- config
    location /t {
        content_by_lua_block {
            local a, err = ngx.req.get_uri_args(2)
            local n = 0
            for _ in pairs(a) do n = n + 1 end
            ngx.say(n, " ", err)
        }
    }
--- request
GET /t?a=1&b=2&c=3
--- response_body
2 truncated


=== TEST 5: a form
--- config
    location /t {
        content_by_lua_block {
            ngx.req.read_body()
            local a = ngx.req.get_post_args()
            ngx.say(a.name, " ", a.list[2])
        }
    }
--- more_headers
Content-Type: application/x-www-form-urlencoded
--- request
POST /t
name=a%26b&list=1&list=2
--- response_body
a&b 2


=== TEST 6: a large body is in a file
--- config
    client_body_buffer_size 1k;
    location /t {
        content_by_lua_block {
            ngx.req.read_body()
            local name = ngx.req.get_body_file()
            ngx.say(ngx.req.get_body_data(), " ", type(name))
            local f = io.open(name)
            ngx.say(#f:read("*a"))
        }
    }
--- request eval
"POST /t\n" . ("y" x 5000)
--- response_body
nil string
5000


=== TEST 7: the body is changed before the proxy sends it
--- config
    location /t {
        rewrite_by_lua_block {
            ngx.req.read_body()
            ngx.req.set_body_data(ngx.req.get_body_data():upper())
            ngx.req.set_method(ngx.HTTP_PUT)
            ngx.req.set_uri("/back")
        }
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT;
    }
    location /back {
        content_by_lua_block { ngx.req.read_body() ngx.say(ngx.req.get_method(), " ", ngx.req.get_body_data()) }
    }
--- request
POST /t
hello
--- response_body
PUT HELLO


=== TEST 8: set_uri with a jump
--- config
    location /t { rewrite_by_lua_block { ngx.req.set_uri("/other", true) } content_by_lua_block { ngx.say("not here") } }
    location /other { return 200 "other $args\n"; }
--- request
GET /t?q=1
--- response_body
other q=1


=== TEST 9: version, start time, raw head, internal
--- config
    location /t {
        content_by_lua_block {
            ngx.say(ngx.req.http_version(), " ", math.abs(ngx.now() - ngx.req.start_time()) < 60, " ", ngx.req.is_internal())
            ngx.print(ngx.req.raw_header())
        }
    }
--- request
GET /t
--- response_body eval
"1.1 true false\nGET /t HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


=== TEST 10: the raw socket
--- config
    location /t {
        content_by_lua_block {
            ngx.req.read_body()
            local s = assert(ngx.req.socket(true))
            s:send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Raw: yes\r\n\r\nraw")
        }
    }
--- request
GET /t
--- response_headers
X-Raw: yes
--- response_body chomp
raw


=== TEST 11: reading the body as a stream
--- config
    location /t {
        content_by_lua_block {
            local s = assert(ngx.req.socket())
            ngx.say(s:receive(3), "|", s:receive(2))
        }
    }
--- request
POST /t
hello
--- response_body
hel|lo


=== TEST 12: arguments go into a table of the script's
--- config
    location /t {
        content_by_lua_block {
            local mine = { old = true }
            local args = ngx.req.get_uri_args(0, mine)
            ngx.say(args == mine, " ", args.old, " ", args.a, " ", table.concat(args.b, "+"))
        }
    }
--- request
GET /t?a=1&b=2&b=3
--- response_body
true nil 1 2+3
