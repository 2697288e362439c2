ngx.socket.tcp

=== TEST 1: connect, send, receive in its ways, close
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; location / { return 200 "line one\nline two\n"; } }
--- config
    location /t {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            ngx.say(s:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            ngx.say(s:send({ "GET / HTTP/1.0\r\n", "Host: ", "a", "\r\n\r\n" }))
            ngx.say(s:receive())
            local until_blank = s:receiveuntil("\r\n\r\n")
            ngx.say(#until_blank() > 20)
            ngx.say(s:receive(4), s:receive("*l"), s:receive("*a"))
            ngx.say(s:receive())
            ngx.say(s:close())
            ngx.say(s:close())
        }
    }
--- request
GET /t
--- response_body
1
27
HTTP/1.1 200 OK
true
line oneline two

nilclosed
1
nilclosed


=== TEST 2: refused, and a name that is not there
--- config
    location /t {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            ngx.say(s:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            ngx.say(s:send("x"))
            ngx.say(s:connect("no.such.host", 80))
        }
    }
--- request
GET /t
--- response_body
nilconnection refused
nilclosed
nilno resolver defined to resolve "no.such.host"
--- error_log
connect() failed (111: Connection refused)
attempt to send data on a closed socket


=== TEST 3: a timeout keeps the partial data
--- http_config
    server {
        listen $TEST_NGINX_RAND_PORT_1;
        location / {
            content_by_lua_block {
                local s = ngx.req.socket(true)
                s:send("part")
                s:settimeout(60000)
                s:receive(1)
            }
        }
    }
--- config
    location /t {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            s:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            s:send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            ngx.say(s:receive(2))
            s:settimeout(100)
            local data, err, partial = s:receive(10)
            ngx.say(data, " ", err, " ", partial)
            s:close()
        }
    }
--- request
GET /t
--- response_body
pa
nil timeout rt
--- error_log
lua tcp socket read timed out


=== TEST 4: keepalive
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; location / { return 200 "$connection_requests"; } }
--- config
    location /t {
        content_by_lua_block {
            for i = 1, 2 do
                local s = ngx.socket.tcp()
                s:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
                ngx.say("reused ", s:getreusedtimes())
                s:send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                s:receiveuntil("\r\n\r\n")()
                ngx.say(s:receive(1))
                ngx.say(s:setkeepalive(60000, 10))
            end
        }
    }
--- request
GET /t
--- response_body
reused 0
1
1
reused 1
2
1


=== TEST 5: receiveuntil in pieces and inclusive
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; location / { return 200 "aaaa--bb--cc"; } }
--- config
    location /t {
        content_by_lua_block {
            local s = ngx.socket.connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            s:send("GET / HTTP/1.0\r\n\r\n")
            s:receiveuntil("\r\n\r\n")()
            local next = s:receiveuntil("--")
            ngx.say(next(3), " ", next(3), " ", next(3))
            local with = s:receiveuntil("--", { inclusive = true })
            ngx.say(with())
            ngx.say(with())
        }
    }
--- request
GET /t
--- response_body
aaa a nilnilnil
bb--
nilclosedcc


=== TEST 6: unix sockets
--- http_config
    server { listen unix:$TEST_NGINX_HTML_DIR/s.sock; location / { return 200 "unix"; } }
--- config
    location /t {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            ngx.say(s:connect("unix:$TEST_NGINX_HTML_DIR/s.sock"))
            s:send("GET / HTTP/1.0\r\n\r\n")
            ngx.say(#s:receive("*a") > 50)
        }
    }
--- request
GET /t
--- response_body
1
true


=== TEST 7: two light threads may read and write, but not both read
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; location / { content_by_lua_block { ngx.sleep(0.3) ngx.say("late") } } }
--- config
    location /t {
        content_by_lua_block {
            local s = ngx.socket.connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            s:send("GET / HTTP/1.0\r\n\r\n")
            local t = ngx.thread.spawn(function() return s:receive() end)
            ngx.say(s:receive())
            ngx.say(ngx.thread.wait(t))
        }
    }
--- request
GET /t
--- response_body
nilsocket busy reading
trueHTTP/1.1 200 OK


=== TEST 8: udp
--- config
    location /t {
        content_by_lua_block {
            local s = ngx.socket.udp()
            ngx.say(s:setpeername("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            s:settimeout(50)
            ngx.say(s:send("x"))
            ngx.say(s:receive())
            ngx.say(s:close())
        }
    }
--- request
GET /t
--- response_body_like
^1
1
nil(connection refused|timeout)
1$
