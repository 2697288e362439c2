proxy_pass and what the upstream sees.

=== TEST 1: request line, default headers, and the answer
--- http_config
    server {
        listen $TEST_NGINX_RAND_PORT_1;
        location / {
            add_header X-Up yes;
            return 201 "$request_method $request_uri $server_protocol host=$http_host connection=$http_connection x=$http_x_a\n";
        }
    }
--- config
    location /t { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- more_headers
X-A: kept
--- request
GET /t%20u?a=b
--- error_code: 201
--- response_headers
X-Up: yes
--- response_body
GET /t%20u?a=b HTTP/1.0 host=127.0.0.1:$TEST_NGINX_RAND_PORT_1 connection=close x=kept


=== TEST 2: a URI in proxy_pass replaces the location's part
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; location / { return 200 "$request_uri\n"; } }
--- config
    location /one/ { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/base/; }
    location /two { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/; }
    location /three { set $to /var; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1$to; }
    location /four { rewrite ^/four(.*) /r$1 break; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request eval
["GET /one/a%2fb?q", "GET /twox", "GET /three/x?q", "GET /four/x?q"]
--- response_body eval
["/base/a/b?q\n", "/x\n", "/var\n", "/r/x?q\n"]


=== TEST 3: headers are set, emptied and hidden
--- http_config
    server {
        listen $TEST_NGINX_RAND_PORT_1;
        location / {
            add_header X-Secret 1; add_header X-Open 2;
            return 200 "h=$http_host a=$http_x_a b=$http_x_b\n";
        }
    }
--- config
    location /t {
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        proxy_set_header Host $host;
        proxy_set_header X-A "$arg_a-set";
        proxy_set_header X-B "";
        proxy_hide_header X-Secret;
    }
--- more_headers
X-B: gone
--- request
GET /t?a=1
--- response_body
h=localhost a=1-set b=
--- response_headers
!X-Secret
X-Open: 2


=== TEST 4: a request body goes along
--- http_config
    server {
        listen $TEST_NGINX_RAND_PORT_1;
        location / {
            content_by_lua_block {
                ngx.req.read_body()
                ngx.say(ngx.req.get_method(), " ", ngx.var.http_content_length, " ", ngx.req.get_body_data())
            }
        }
    }
--- config
    location /t { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    location /put { proxy_method PUT; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request eval
["POST /t\nhello", "POST /put\nhello"]
--- response_body eval
["POST 5 hello\n", "PUT 5 hello\n"]


=== TEST 5: round robin by weight, and the variables about it
--- http_config
    upstream group {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1 weight=2;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
    }
    server { listen $TEST_NGINX_RAND_PORT_1; return 200 "a"; }
    server { listen $TEST_NGINX_RAND_PORT_2; return 200 "b"; }
--- config
    location /t {
        content_by_lua_block {
            for i = 1, 6 do ngx.print(ngx.location.capture("/p").body) end
        }
    }
    location /p { proxy_pass http://group; }
--- request
GET /t
--- response_body_like: ^aba+ba|abaaba$


=== TEST 6: a refused connection moves on to the next peer
--- http_config
    upstream group {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1 backup;
    }
    server { listen $TEST_NGINX_RAND_PORT_1; return 200 "backup\n"; }
--- config
    location /t { proxy_pass http://group; add_header X-Addr $upstream_addr; add_header X-Status "$upstream_status"; }
--- request
GET /t
--- response_body
backup
--- response_headers
X-Addr: 127.0.0.1:$TEST_NGINX_RAND_PORT_2, 127.0.0.1:$TEST_NGINX_RAND_PORT_1
X-Status: 502, 200
--- error_log
connect() failed (111: Connection refused) while connecting to upstream


=== TEST 7: no live upstreams
--- http_config
    upstream group { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1 down; }
--- config
    location /t { proxy_pass http://group; }
--- request
GET /t
--- error_code: 502
--- error_log
no live upstreams while connecting to upstream


=== TEST 8: proxy_next_upstream by status
--- http_config
    upstream group { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2 backup; }
    server { listen $TEST_NGINX_RAND_PORT_1; return 503 "first\n"; }
    server { listen $TEST_NGINX_RAND_PORT_2; return 200 "second\n"; }
--- config
    location /on { proxy_next_upstream http_503; proxy_pass http://group; }
    location /off { proxy_next_upstream off; proxy_pass http://group/off; }
--- request eval
["GET /off", "GET /on"]
--- error_code eval
[503, 200]


=== TEST 9: an answer that is not HTTP
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval: "no http here\r\n\r\n"
--- config
    location /t { proxy_http_version 1.1; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request
GET /t
--- response_body_like: no http here
--- error_log
upstream sent no valid HTTP/1.0 header while reading response header from upstream


=== TEST 10: an upstream that closes at once
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- config
    location /t { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request
GET /t
--- error_code: 502
--- error_log
upstream prematurely closed connection while reading response header from upstream


=== TEST 11: a slow upstream
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; location / { lua_check_client_abort on; content_by_lua_block { ngx.sleep(30) } } }
--- config
    location /t { proxy_read_timeout 200ms; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request
GET /t
--- error_code: 504
--- error_log
upstream timed out (110: Connection timed out) while reading response header from upstream


=== TEST 12: a chunked answer, whole and in order
--- http_config
    server {
        listen $TEST_NGINX_RAND_PORT_1;
        location / { content_by_lua_block { for i = 1, 3 do ngx.say("part ", i) ngx.flush(true) end } }
    }
--- config
    location /t { proxy_http_version 1.1; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    location /direct { proxy_buffering off; proxy_http_version 1.1; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request eval
["GET /t", "GET /direct"]
--- response_body eval
["part 1\npart 2\npart 3\n", "part 1\npart 2\npart 3\n"]


=== TEST 13: Location and Refresh are rewritten
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; location / { return 302 http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/x/y; } }
--- config
    location /pre/ { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/x/; }
    location /off/ { proxy_redirect off; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/x/; }
--- request eval
["GET /pre/", "GET /off/"]
--- error_code eval
[302, 302]
--- response_headers eval
["Location: http://localhost:$TEST_NGINX_SERVER_PORT/pre/y", "Location: http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/x/y"]


=== TEST 14: connections to the group are kept
--- http_config
    upstream group { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; keepalive 4; }
    server { listen $TEST_NGINX_RAND_PORT_1; location / { return 200 "$connection_requests\n"; } }
--- config
    location /p { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://group; }
--- request eval
["GET /p", "GET /p", "GET /p"]
--- response_body eval
["1\n", "2\n", "3\n"]


=== TEST 15: error pages for upstream errors only when intercepted
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; return 404 "upstream 404\n"; }
--- config
    error_page 404 /own;
    location /own { return 200 "own\n"; }
    location /t { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    location /i { proxy_intercept_errors on; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request eval
["GET /t", "GET /i"]
--- error_code eval
[404, 404]
--- response_body eval
["upstream 404\n", "own\n"]


=== TEST 16: a group that is not there
--- config
    location /t { proxy_pass http://nowhere.invalid; }
--- must_die
--- error_log
host not found in upstream "nowhere.invalid"


=== TEST 17: unix sockets
--- http_config
    server { listen unix:$TEST_NGINX_HTML_DIR/up.sock; return 200 "unix $http_host\n"; }
--- config
    location /t { proxy_pass http://unix:$TEST_NGINX_HTML_DIR/up.sock:/x; }
--- request
GET /t
--- response_body
unix localhost


=== TEST 18: least connections, hash and ip_hash know their peers
--- http_config
    upstream h { hash $arg_k consistent; server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    upstream i { ip_hash; server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    upstream l { least_conn; server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    upstream r { random; server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    server { listen $TEST_NGINX_RAND_PORT_1; return 200 "up\n"; }
--- config
    location /h { proxy_pass http://h; }
    location /i { proxy_pass http://i; }
    location /l { proxy_pass http://l; }
    location /r { proxy_pass http://r; }
--- request eval
["GET /h?k=1", "GET /i", "GET /l", "GET /r"]
--- response_body eval
["up\n", "up\n", "up\n", "up\n"]
