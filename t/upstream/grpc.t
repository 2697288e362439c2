grpc_pass: requests passed on over HTTP/2.

=== TEST 1: a request and its answer
--- http_config
    server {
        listen $TEST_NGINX_RAND_PORT_1 http2;
        location / {
            add_header X-Seen "$request_method $request_uri $http_x_a $http_te";
            return 200 "hello\n";
        }
    }
--- config
    location / {
        grpc_set_header X-A own;
        grpc_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
--- more_headers
X-A: theirs
TE: trailers
--- request
GET /pkg.Service/Method?x
--- response_headers
X-Seen: GET /pkg.Service/Method?x own trailers
--- response_body
hello


=== TEST 2: the body goes along
--- http_config
    server {
        listen $TEST_NGINX_RAND_PORT_1 http2;
        location = /x { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/echo; }
    }
--- config
    location = /echo { content_by_lua_block { ngx.req.read_body(); ngx.print(ngx.req.get_body_data()) } }
    location / { grpc_pass grpc://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request eval
"POST /x\n" . ("a" x 5000)
--- response_body eval
"a" x 5000


=== TEST 3: who speaks HTTP/1 is no backend
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; return 200; }
--- config
    location / { grpc_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request
GET /t
--- error_code: 502
--- error_log
while reading response header from upstream


=== TEST 4: the next one is asked, statuses can have pages of ours
--- http_config
    upstream two { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2 backup; }
    server { listen $TEST_NGINX_RAND_PORT_1 http2; location / { return 503; } location /no { return 404; } }
    server { listen $TEST_NGINX_RAND_PORT_2 http2; return 200 "second\n"; }
--- config
    grpc_next_upstream error http_503;
    grpc_intercept_errors on;
    error_page 404 /own;
    location / { grpc_pass two; }
    location = /no { grpc_pass grpc://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    location = /own { return 404 "own\n"; }
--- request eval
["GET /t", "GET /no"]
--- error_code eval
[200, 404]
--- response_body eval
["second\n", "own\n"]


=== TEST 5: several requests over one connection
--- http_config
    upstream kept { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; keepalive 1; }
    server {
        listen $TEST_NGINX_RAND_PORT_1 http2;
        return 200 "$connection_requests\n";
    }
--- config
    location / { grpc_pass kept; }
--- request eval
["GET /1", "GET /2", "GET /3"]
--- response_body eval
["1\n", "2\n", "3\n"]
