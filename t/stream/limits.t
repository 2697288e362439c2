Who may come in, and how many.

=== TEST 1: a second session of the same address is one too many
--- main_config
    stream {
        limit_conn_zone $binary_remote_addr zone=clients:64k;
        log_format status '$status $limit_conn_status';
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
            limit_conn clients 1;
            access_log logs/limits.log status;
            proxy_pass 127.0.0.1:$TEST_NGINX_SERVER_PORT;
        }
    }
--- config
    location = /far { return 200 far; }
    location /t {
        content_by_lua_block {
            local first, second = ngx.socket.tcp(), ngx.socket.tcp()
            assert(first:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            -- An answer tells that the session runs.
            assert(first:send("GET /far HTTP/1.1\r\nHost: a\r\n\r\n"))
            ngx.say(first:receive())
            assert(second:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            ngx.say(second:receive("*a"))
            ngx.print(io.open(ngx.config.prefix() .. "logs/limits.log"):read("*a"))
        }
    }
--- request
GET /t
--- response_body eval
"HTTP/1.1 200 OK\n\n503 REJECTED\n"
--- error_log
limiting connections by zone "clients"



=== TEST 2: whom a balancer speaks for, if it is trusted
--- main_config
    stream {
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 proxy_protocol;
            set_real_ip_from 127.0.0.0/8;
            return "$remote_addr $remote_port $realip_remote_addr";
        }
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2 proxy_protocol;
            set_real_ip_from 10.0.0.0/8;
            return "$remote_addr $proxy_protocol_addr";
        }
    }
--- config
    location /t {
        content_by_lua_block {
            for _, port in ipairs { $TEST_NGINX_RAND_PORT_1, $TEST_NGINX_RAND_PORT_2 } do
                local sock = ngx.socket.tcp()
                assert(sock:connect("127.0.0.1", port))
                assert(sock:send("PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n"))
                ngx.say(sock:receive("*a"))
            end
        }
    }
--- request
GET /t
--- response_body
192.0.2.1 1234 127.0.0.1
127.0.0.1 192.0.2.1
--- no_error_log
[error]
