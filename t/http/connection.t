What goes over one connection.

=== TEST 1: pipelined requests are answered in order
--- config
    location / { return 200 "$request_method $uri $connection_requests\n"; }
--- pipelined_requests eval
["GET /a", "POST /b\nbody", "GET /c"]
--- response_body eval
["GET /a 1\n", "POST /b 2\n", "GET /c 3\n"]


=== TEST 2: HTTP/1.0 closes unless asked
--- config
    location / { return 200 "x"; }
--- raw_request eval
"GET / HTTP/1.0\r\n\r\n"
--- response_headers
Connection: close
--- raw_response_headers_like: ^HTTP/1\.1 200 OK


=== TEST 3: HTTP/1.0 with keep-alive
--- config
    location / { return 200 "x"; }
    keepalive_timeout 1s;
--- raw_request eval
"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
--- response_headers
Connection: keep-alive


=== TEST 4: keepalive_requests
--- config
    keepalive_requests 1;
    location / { return 200 "x"; }
--- raw_request eval
"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
--- response_headers
Connection: close


=== TEST 5: a request head in the older newlines
--- config
    location / { return 200 "$http_x\n"; }
--- raw_request eval
"GET / HTTP/1.1\nHost: a\nX: y\nConnection: close\n\n"
--- response_body
y


=== TEST 6: 100-continue
--- config
    location /t { content_by_lua_block { ngx.req.read_body() ngx.say(ngx.req.get_body_data()) } }
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
--- response_body
hello


=== TEST 7: a chunked request body
--- config
    location /t { content_by_lua_block { ngx.req.read_body() ngx.say(ngx.req.get_body_data()) } }
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n"
--- response_body
hello world


=== TEST 8: a body over the limit is refused
--- config
    location /t { client_max_body_size 10; content_by_lua_block { ngx.say("x") } }
--- request
POST /t
0123456789a
--- error_code: 413
--- error_log
client intended to send too large body: 11 bytes


=== TEST 9: no limit when it is zero
--- config
    location /t { client_max_body_size 0; content_by_lua_block { ngx.req.read_body() ngx.say(#ngx.req.get_body_data()) } }
--- request eval
"POST /t\n" . ("x" x 9000)
--- response_body
9000


=== TEST 10: the Date and Server headers are there once
--- config
    location / { return 200 "x"; }
--- request
GET /
--- raw_response_headers_like: ^HTTP/1\.1 200 OK\r\nServer: \S+\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\nContent-Type: text/plain\r\nContent-Length: 1\r\nConnection: close$


=== TEST 11: a HEAD request gets the head of a GET
--- config
    location / { return 200 "12345"; }
--- request
HEAD /
--- response_headers
Content-Length: 5
--- response_body chomp


=== TEST 12: names of servers
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; server_name one.test; return 200 "one\n"; }
    server { listen $TEST_NGINX_RAND_PORT_1; server_name *.wild.test; return 200 "wild\n"; }
    server { listen $TEST_NGINX_RAND_PORT_1; server_name tail.*; return 200 "tail\n"; }
    server { listen $TEST_NGINX_RAND_PORT_1; server_name ~^re(?<n>\d+)\.test$; return 200 "re $n\n"; }
    server { listen $TEST_NGINX_RAND_PORT_1 default_server; server_name _; return 200 "default $host\n"; }
--- config
    location / { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; proxy_set_header Host $arg_h; }
--- request eval
["GET /?h=one.test", "GET /?h=a.b.wild.test", "GET /?h=tail.org", "GET /?h=re7.test", "GET /?h=else"]
--- response_body eval
["one\n", "wild\n", "tail\n", "re 7\n", "default else\n"]
