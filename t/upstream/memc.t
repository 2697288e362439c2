memc_pass of memc-nginx-module.

=== TEST 1: memc_pass stores the body of a PUT
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query eval: "set foo 0 600 5\r\nhello\r\n"
--- tcp_reply eval: "STORED\r\n"
--- config
    location /t {
        set $memc_key foo;
        set $memc_exptime 600;
        memc_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
--- request
PUT /t
hello
--- error_code: 201
--- response_body eval: "STORED\r\n"


=== TEST 2: the method says what is done; $memc_flags tells those of the value
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query eval: "get foo\r\n"
--- tcp_reply eval: "VALUE foo 17 2\r\nhi\r\nEND\r\n"
--- config
    location /t {
        set $memc_key foo;
        memc_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        add_header X-Flags $memc_flags;
    }
--- request
GET /t
--- response_headers
X-Flags: 17
--- response_body chomp
hi


=== TEST 3: a counter
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query eval: "incr foo 2\r\n"
--- tcp_reply eval: "44\r\n"
--- config
    location /t {
        set $memc_cmd incr;
        set $memc_key foo;
        set $memc_value 2;
        memc_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
--- request
GET /t
--- response_body eval: "44\r\n"


=== TEST 4: statistics come as they are
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query eval: "stats\r\n"
--- tcp_reply eval: "STAT a 1\r\nSTAT b 2\r\nEND\r\n"
--- config
    location /t {
        set $memc_cmd stats;
        memc_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
--- request
GET /t
--- response_body eval: "STAT a 1\r\nSTAT b 2\r\nEND\r\n"


=== TEST 5: an error of the server
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query eval: "version\r\n"
--- tcp_reply eval: "SERVER_ERROR busy\r\n"
--- config
    location /t {
        set $memc_cmd version;
        memc_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
--- request
GET /t
--- error_code: 502
--- response_body eval: "SERVER_ERROR busy\r\n"


=== TEST 6: commands that are not allowed, not known, not complete
--- config
    location /a { set $memc_cmd flush_all; memc_cmds_allowed get set; memc_pass 127.0.0.1:1; }
    location /b { set $memc_cmd fly; memc_pass 127.0.0.1:1; }
    location /c { set $memc_cmd incr; set $memc_key a; memc_pass 127.0.0.1:1; }
    location /d { set $memc_cmd get; memc_pass 127.0.0.1:1; }
--- request eval
["GET /a", "GET /b", "GET /c", "GET /d"]
--- error_code eval
[403, 400, 400, 400]
--- error_log
unrecognized $memc_cmd "fly"
the "$memc_value" variable is required for command "incr"
the "$memc_key" variable is not set
