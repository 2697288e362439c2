Requests that stay with one peer.

=== TEST 1: a cookie names the peer, and leads back to it
--- http_config
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; return 200 "one $cookie_at\n"; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2; return 200 "two $cookie_at\n"; }
    upstream first { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1 route=a; sticky cookie at; }
    upstream app {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1 route=a;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2 route=b;
        sticky cookie at path=/ expires=max httponly samesite=lax;
    }
--- config
    location /t { proxy_pass http://app; }
--- more_headers
Cookie: at=b
--- request eval
["GET /t", "GET /t", "GET /t"]
--- response_body eval
["two b\n", "two b\n", "two b\n"]
--- response_headers
Set-Cookie: at=b; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000; httponly; samesite=lax; path=/


=== TEST 2: without a route the cookie is a digest of the address
--- http_config
    upstream app { server 127.0.0.1:$TEST_NGINX_SERVER_PORT; sticky cookie at; }
--- config
    location /t { proxy_pass http://app/in; }
    location /in { return 200 "in\n"; }
--- request
GET /t
--- raw_response_headers_like: Set-Cookie: at=[0-9a-f]{32}
--- response_body
in


=== TEST 3: who is gone gives way, and the cookie tells so
--- http_config
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2; return 200 "two\n"; }
    upstream app {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1 route=a;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2 route=b;
        sticky cookie at;
    }
--- config
    location /t { proxy_pass http://app; }
--- more_headers
Cookie: at=a
--- request
GET /t
--- response_body
two
--- response_headers
Set-Cookie: at=b
--- error_log
connect() failed


=== TEST 4: a peer that drains takes only its own
--- http_config
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; return 200 "one\n"; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2; return 200 "two\n"; }
    upstream app {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1 route=a drain;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2 route=b;
        sticky route $arg_at $cookie_at;
    }
--- config
    location /t { proxy_pass http://app; }
--- request eval
["GET /t", "GET /t?at=a", "GET /t", "GET /t?at=a"]
--- response_body eval
["two\n", "one\n", "two\n", "one\n"]


=== TEST 5: sessions are learnt from answers
--- http_config
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; add_header Set-Cookie s=x; return 200 "one\n"; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2; add_header Set-Cookie s=y; return 200 "two\n"; }
    upstream app {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        sticky learn zone=sessions:64k create=$upstream_cookie_s lookup=$arg_s;
    }
--- config
    location /t { proxy_pass http://app; }
--- request eval
["GET /t", "GET /t", "GET /t?s=y", "GET /t?s=y", "GET /t?s=x", "GET /t?s=x"]
--- response_body eval
["one\n", "two\n", "two\n", "two\n", "one\n", "one\n"]


=== TEST 6: learn wants to know where sessions come from
--- http_config
    upstream app {
        server 127.0.0.1:$TEST_NGINX_SERVER_PORT;
        sticky learn zone=sessions:64k lookup=$arg_s;
    }
--- config
    location /t { proxy_pass http://app; }
--- must_die
--- error_log
"sticky" directive "create" parameter is not specified
