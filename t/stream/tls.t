TLS on both sides of a session, and hellos looked at in passing.

=== TEST 1: TLS is taken off, and put on again with a name and its check
--- main_config
    stream {
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
            ssl_certificate $TEST_NGINX_CERT_DIR/one.crt;
            ssl_certificate_key $TEST_NGINX_CERT_DIR/one.key;
            return "$ssl_server_name!";
        }
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
            proxy_ssl on;
            proxy_ssl_server_name on;
            proxy_ssl_name inner.test;
            proxy_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        }
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3;
            proxy_ssl on;
            proxy_ssl_verify on;
            proxy_ssl_name stranger.test;
            proxy_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/two.crt;
            proxy_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        }
    }
--- config
    location /t {
        content_by_lua_block {
            for _, port in ipairs { $TEST_NGINX_RAND_PORT_2, $TEST_NGINX_RAND_PORT_3 } do
                local sock = ngx.socket.tcp()
                assert(sock:connect("127.0.0.1", port))
                ngx.say("[", sock:receive("*a"), "]")
            end
        }
    }
--- request
GET /t
--- response_body
[inner.test!]
[]
--- error_log
upstream SSL certificate verify error
while SSL handshaking to upstream, client: 127.0.0.1, server: 127.0.0.1:



=== TEST 2: the name in a hello chooses the target, TLS stays with client and target
--- main_config
    stream {
        map $ssl_preread_server_name $where {
            one.test 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
            default  127.0.0.1:$TEST_NGINX_RAND_PORT_3;
        }
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
            ssl_preread on;
            proxy_pass $where;
        }
        ssl_certificate $TEST_NGINX_CERT_DIR/one.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/one.key;
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2 ssl;
            return "one\n";
        }
        server {
            listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3 ssl;
            return "other\n";
        }
    }
--- config
    location /t {
        content_by_lua_block {
            for _, name in ipairs { "one.test", "two.test" } do
                local sock = ngx.socket.tcp()
                assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
                assert(sock:sslhandshake(nil, name, false))
                ngx.say(sock:receive())
            end
        }
    }
--- request
GET /t
--- response_body
one
other
--- no_error_log
[error]
