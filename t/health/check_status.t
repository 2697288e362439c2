check_status of nginx_upstream_check_module.

=== TEST 1: the page counts the peers of all checks
--- http_config
    upstream a {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        check interval=3000 rise=1 fall=1 timeout=1000 type=http;
        check_keepalive_requests 10;
    }
    upstream b {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        health_check type=tcp;
    }
    upstream unchecked { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    server { listen $TEST_NGINX_RAND_PORT_1; return 200 "ok"; }
--- config
    location /status { check_status; }
--- request
GET /status
--- response_headers
Content-Type: text/html
--- response_body_like: Check upstream server number: 3, generation: \d+


=== TEST 2: csv, in the order of the configuration
--- http_config
    upstream b { server 127.0.0.1:1; check interval=30000 type=tcp default_down=false; }
    upstream a { server 127.0.0.1:2; check interval=30000 type=http port=81; }
--- config
    location /status { check_status csv; }
--- request
GET /status
--- response_headers
Content-Type: text/plain
--- response_body_like: ^0,b,127\.0\.0\.1:1,(up|down),0,\d+,tcp,0\n1,a,127\.0\.0\.1:2,down,0,\d+,http,81\n$


=== TEST 3: one state of them, in another format; the index stays
--- http_config
    upstream a { server 127.0.0.1:2; check interval=30000 fall=9 default_down=false; }
    upstream b { server 127.0.0.1:3; check interval=30000; }
--- config
    location /status { check_status csv; }
--- request
GET /status?format=json&status=down
--- response_headers
Content-Type: application/json
--- response_body_like: ^\{"servers": \{\n  "total": 1,\n  "generation": \d+,\n  "server": \[\n    \{"index": 1, "upstream": "b", "name": "127\.0\.0\.1:3", "status": "down", "rise": 0, "fall": \d+, "type": "tcp", "port": 0\}\n  \]\n\}\}\n$


=== TEST 4: what is not known is not heard
--- http_config
    upstream a { server 127.0.0.1:2; check interval=30000; }
--- config
    location /status { check_status json; }
--- request
GET /status?format=htm&status=foo
--- response_headers
Content-Type: application/json
--- response_body_like: "total": 1,


=== TEST 5: nobody to check
--- config
    location /status { check_status csv; }
--- request
GET /status
--- response_body chomp


=== TEST 6: reading only
--- config
    location /status { check_status; }
--- request
POST /status
--- error_code: 405


=== TEST 7: a format there is not
--- config
    location /status { check_status xml; }
--- must_die
--- error_log
invalid check format "xml"
