The return directive.

=== TEST 1: a status with a text
--- config
    location = /t {
        return 200 "hello, $arg_who\n";
    }
--- request
GET /t?who=world
--- response_body
hello, world
--- response_headers
Content-Type: text/plain
Content-Length: 13


=== TEST 2: a redirect is made absolute
--- config
    location = /t {
        return 301 /elsewhere?a=1;
    }
--- request
GET /t
--- error_code: 301
--- response_headers
Location: http://localhost:$TEST_NGINX_SERVER_PORT/elsewhere?a=1
--- response_body_like: 301 Moved Permanently
