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


=== TEST 8: for Prometheus
--- http_config
    upstream b { server 127.0.0.1:1; check interval=30000 fall=9 type=tcp default_down=false; }
    upstream a { server 127.0.0.1:2; check interval=30000 type=http port=81; }
--- config
    location /status { check_status prometheus; }
--- request
GET /status
--- response_headers
Content-Type: text/plain
--- response_body_like
# HELP nginx_upstream_count_total Nginx total number of servers
# TYPE nginx_upstream_count_total gauge
nginx_upstream_count_total 2
# HELP nginx_upstream_count_up Nginx total number of servers that are UP
# TYPE nginx_upstream_count_up gauge
nginx_upstream_count_up 1
# HELP nginx_upstream_count_down Nginx total number of servers that are DOWN
# TYPE nginx_upstream_count_down gauge
nginx_upstream_count_down 1
# HELP nginx_upstream_count_generation Nginx generation
# TYPE nginx_upstream_count_generation gauge
nginx_upstream_count_generation \d+
# HELP nginx_upstream_server_rise Nginx rise counter
# TYPE nginx_upstream_server_rise counter
nginx_upstream_server_rise\{index="0",upstream="b",name="127\.0\.0\.1:1",status="up",type="tcp",port="0"\} 0
nginx_upstream_server_rise\{index="1",upstream="a",name="127\.0\.0\.1:2",status="down",type="http",port="81"\} 0
# HELP nginx_upstream_server_fall Nginx fall counter
# TYPE nginx_upstream_server_fall counter
nginx_upstream_server_fall\{index="0",.*\} \d+
nginx_upstream_server_fall\{index="1",.*\} \d+
# HELP nginx_upstream_server_active Nginx active 1 for UP / 0 for DOWN
# TYPE nginx_upstream_server_active gauge
nginx_upstream_server_active\{index="0",.*\} 1
nginx_upstream_server_active\{index="1",.*\} 0
