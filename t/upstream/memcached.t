memcached_pass.

=== TEST 1: memcached_pass gets the value of a key
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query eval: "get /t?a%2520b%2525\r\n"
--- tcp_reply eval: "VALUE /t?a%2520b%2525 0 5\r\nhello\r\nEND\r\n"
--- config
    location /t {
        set $memcached_key $uri$is_args$args;
        memcached_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
--- request
GET /t?a%20b%25
--- response_headers
Content-Length: 5
--- response_body chomp
hello


=== TEST 2: a key that is not there
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query eval: "get foo\r\n"
--- tcp_reply eval: "END\r\n"
--- config
    location /t {
        set $memcached_key foo;
        memcached_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
--- request
GET /t
--- error_code: 404


=== TEST 3: a value of another key is refused
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query eval: "get foo\r\n"
--- tcp_reply eval: "VALUE bar 0 1\r\nx\r\nEND\r\n"
--- config
    location /t {
        set $memcached_key foo;
        memcached_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
--- request
GET /t
--- error_code: 502
--- error_log
memcached sent invalid key in response "VALUE bar 0 1" for key "foo"


=== TEST 4: flags tell a compressed value
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query eval: "get foo\r\n"
--- tcp_reply eval: "VALUE foo 3 1\r\nx\r\nEND\r\n"
--- config
    location /t {
        set $memcached_key foo;
        memcached_gzip_flag 2;
        memcached_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
--- request
GET /t
--- response_headers
Content-Encoding: gzip
--- response_body chomp
x


=== TEST 5: without a key
--- config
    location /t { memcached_pass 127.0.0.1:1; }
--- http_config
    map $uri $memcached_key { default ""; }
--- request
GET /t
--- error_code: 500
--- error_log
the "$memcached_key" variable is not set
