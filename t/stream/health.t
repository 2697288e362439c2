Health checks of the groups of stream.

=== TEST 1: a backend dies; the table tells since when and why, sessions go elsewhere
--- main_config
    stream {
        upstream both {
            zone both 64k;
            server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
            server 127.0.0.1:1;
            health_check interval=50ms;
        }
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
            proxy_pass both;
        }
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
            return alive;
        }
    }
--- config
    location /status { check_status json; }
    location /csv { check_status csv; }
    location /t {
        content_by_lua_block {
            local csv
            repeat
                csv = ngx.location.capture("/csv").body
                ngx.sleep(0.01)
            until csv:find("127.0.0.1:1,down", 1, true)
                and csv:find("127.0.0.1:$TEST_NGINX_RAND_PORT_2,up", 1, true)
            local seen = {}
            for _ = 1, 6 do
                local sock = ngx.socket.tcp()
                assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
                seen[#seen + 1] = sock:receive("*a")
            end
            ngx.say(table.concat(seen, " "))
            ngx.say(csv:match("127.0.0.1:1,down,([^\n]*)"))
        }
    }
--- request
GET /t
--- response_body_like
alive alive alive alive alive alive
.*tcp.*
--- error_log
127.0.0.1:1



=== TEST 2: a probe by http looks at a group of stream too
--- main_config
    stream {
        upstream web {
            zone web 64k;
            server 127.0.0.1:$TEST_NGINX_SERVER_PORT;
            health_check type=http uri=/bad interval=50ms;
        }
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
            proxy_pass web;
        }
    }
--- config
    location /bad { return 500; }
    location /csv { check_status csv; }
    location /t {
        content_by_lua_block {
            local csv
            repeat
                csv = ngx.location.capture("/csv").body
                ngx.sleep(0.01)
            until csv:find(",down", 1, true)
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            ngx.say(sock:receive("*a") == "")
        }
    }
--- request
GET /t
--- response_body
true
--- error_log
no live upstreams while connecting to upstream
