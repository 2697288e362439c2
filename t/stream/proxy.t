Sessions passed on: groups, addresses, variables, limits, what logs tell of them.

=== TEST 1: a session goes to the next server when one refuses, and variables tell both tries
--- main_config
    stream {
        log_format tries '$protocol $status $bytes_sent $upstream_bytes_received '
                         '$upstream_addr';
        upstream two {
            server 127.0.0.1:1;
            server 127.0.0.1:$TEST_NGINX_RAND_PORT_2 backup;
        }
        server {
            listen $TEST_NGINX_RAND_PORT_1;
            access_log logs/tries.log tries;
            proxy_pass two;
        }
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
            return "hello $remote_addr\n";
        }
    }
--- config
    location /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            ngx.say(sock:receive())
            ngx.say(sock:receive())
            local log = io.open(ngx.config.prefix() .. "logs/tries.log")
            ngx.print((log:read("*a"):gsub(":%d%d+", ":PORT")))
        }
    }
--- request
GET /t
--- response_body
hello 127.0.0.1
nilclosed
TCP 200 16 0, 16 127.0.0.1:1, 127.0.0.1:PORT
--- error_log
connect() failed (111: Connection refused) while connecting to upstream, client: 127.0.0.1, server: 0.0.0.0:
, upstream: "127.0.0.1:1", bytes from/to client:0/0, bytes from/to upstream:0/0



=== TEST 2: bytes go both ways until the peer ends
--- main_config
    stream {
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
            proxy_pass 127.0.0.1:$TEST_NGINX_SERVER_PORT;
        }
    }
--- config
    location = /far {
        return 200 "from afar\n";
    }
    location /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            assert(sock:send("GET /far HTTP/1.0\r\n\r\n"))
            local all = assert(sock:receive("*a"))
            ngx.print(all:match("\r\n\r\n(.*)"))
        }
    }
--- request
GET /t
--- response_body
from afar
--- no_error_log
[error]



=== TEST 3: a denied client is told nothing, the log says why
--- main_config
    stream {
        log_format status $status;
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
            access_log logs/denied.log status;
            deny 127.0.0.0/8;
            return never;
        }
    }
--- config
    location /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            ngx.say(sock:receive("*a"))
            ngx.print(io.open(ngx.config.prefix() .. "logs/denied.log"):read("*a"))
        }
    }
--- request
GET /t
--- response_body_like
^(nilconnection reset by peer)?
403
$
--- error_log
access forbidden by rule while initializing session, client: 127.0.0.1, server: 127.0.0.1:



=== TEST 4: without a live server the session ends with 502
--- main_config
    stream {
        log_format status '$status $upstream_addr';
        upstream gone { server 127.0.0.1:1 down; }
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
            access_log logs/gone.log status;
            proxy_pass gone;
        }
    }
--- config
    location /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            ngx.say("[", sock:receive("*a"), "]")
            ngx.print(io.open(ngx.config.prefix() .. "logs/gone.log"):read("*a"))
        }
    }
--- request
GET /t
--- response_body
[]
502 gone
--- error_log
no live upstreams while connecting to upstream



=== TEST 5: names from map choose the target; set makes variables
--- main_config
    stream {
        map $server_port $where {
            $TEST_NGINX_RAND_PORT_1 one;
            default two;
        }
        upstream one { server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; }
        upstream two { server 127.0.0.1:$TEST_NGINX_RAND_PORT_4; }
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
            proxy_pass $where;
        }
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3;
            set $word first;
            return $word;
        }
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_4;
            return second;
        }
    }
--- config
    location /t {
        content_by_lua_block {
            for _, port in ipairs { $TEST_NGINX_RAND_PORT_1, $TEST_NGINX_RAND_PORT_2 } do
                local sock = ngx.socket.tcp()
                assert(sock:connect("127.0.0.1", port))
                ngx.say(sock:receive("*a"))
            end
        }
    }
--- request
GET /t
--- response_body
first
second
--- no_error_log
[error]



=== TEST 6: the PROXY protocol is written and read
--- main_config
    stream {
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
            proxy_protocol on;
            proxy_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        }
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2 proxy_protocol;
            return "$proxy_protocol_addr $proxy_protocol_server_port";
        }
    }
--- config
    location /t {
        content_by_lua_block {
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            local from, port = sock:receive("*a"):match("(.-) (%d+)")
            ngx.say(from, " ", port == "$TEST_NGINX_RAND_PORT_1")
        }
    }
--- request
GET /t
--- response_body
127.0.0.1 true
--- no_error_log
[error]



=== TEST 7: a datagram is answered by the datagrams it asks for
--- main_config
    stream {
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 udp;
            proxy_responses 1;
            proxy_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        }
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2 udp;
            return "$protocol $bytes_received";
        }
    }
--- config
    location /t {
        content_by_lua_block {
            local sock = ngx.socket.udp()
            assert(sock:setpeername("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            assert(sock:send("12345"))
            ngx.say(sock:receive())
        }
    }
--- request
GET /t
--- response_body
UDP 5
--- no_error_log
[error]



=== TEST 8: hash keeps a key with its server
--- main_config
    stream {
        upstream both {
            hash $remote_addr consistent;
            server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
            server 127.0.0.1:$TEST_NGINX_RAND_PORT_3;
        }
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
            proxy_pass both;
        }
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3;
            return $server_port;
        }
    }
--- config
    location /t {
        content_by_lua_block {
            local seen, kinds = {}, 0
            for _ = 1, 10 do
                local sock = ngx.socket.tcp()
                assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
                local port = sock:receive("*a")
                if not seen[port] then
                    seen[port], kinds = true, kinds + 1
                end
            end
            ngx.say(kinds)
        }
    }
--- request
GET /t
--- response_body
1
--- no_error_log
[error]
