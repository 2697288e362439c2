fastcgi_pass, scgi_pass, uwsgi_pass.

=== TEST 1: FastCGI: status, headers, body
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval: "\x01\x06\x00\x01\x00\x21\x00\x00Status: 201 Made\r\nX-A: b\r\n\r\nhello\x01\x06\x00\x01\x00\x00\x00\x00\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
--- config
    location /t {
        fastcgi_param SCRIPT_NAME /x;
        fastcgi_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
--- request
GET /t
--- error_code: 201
--- response_headers
X-A: b
--- raw_response_headers_unlike: Status:
--- response_body chomp
hello


=== TEST 2: FastCGI: a Location is a redirect, standard error is logged
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval: "\x01\x07\x00\x01\x00\x05\x03\x00oops\n\x00\x00\x00\x01\x06\x00\x01\x00\x21\x01\x00Location: http://example.com/\r\n\r\n\x00\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
--- config
    location /t { fastcgi_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request
GET /t
--- error_code: 302
--- error_log
FastCGI sent in stderr: "oops" while reading response header from upstream


=== TEST 3: FastCGI: something else answers
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval: "HTTP/1.1 200 OK\r\n\r\n"
--- config
    location /t { fastcgi_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request
GET /t
--- error_code: 502
--- error_log
upstream sent unsupported FastCGI protocol version: 72 while reading response header from upstream


=== TEST 4: FastCGI: the path behind the script
--- config
    location ~ \.php(/|$) {
        fastcgi_split_path_info ^(.+\.php)(/.+)$;
        return 200 "$fastcgi_script_name $fastcgi_path_info\n";
    }
    location /i/ {
        fastcgi_index index.php;
        return 200 "$fastcgi_script_name\n";
    }
--- request eval
["GET /a/b.php/c/d", "GET /a/b.php", "GET /i/"]
--- response_body eval
["/a/b.php /c/d\n", "/a/b.php \n", "/i/index.php\n"]


=== TEST 5: SCGI: the request, and lines as the answer
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query eval: "47:CONTENT_LENGTH\x002\x00SCGI\x001\x00HTTP_HOST\x00h\x00HTTP_X_A\x00b\x00,hi"
--- tcp_reply eval: "Status: 404 Gone\r\nContent-Type: text/x\r\n\r\nnot here"
--- config
    location /t {
        scgi_param SCGI 1;
        scgi_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        scgi_pass_request_headers on;
        scgi_param HTTP_CONNECTION "" if_not_empty;
        scgi_param HTTP_CONTENT_LENGTH "" if_not_empty;
    }
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: h\r\nX-A: b\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
--- error_code: 404
--- response_headers
Content-Type: text/x
--- response_body chomp
not here


=== TEST 6: SCGI: a status line is taken too
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval: "HTTP/1.1 203 So\r\nX-A: b\r\n\r\nhello"
--- config
    location /t { scgi_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request
GET /t
--- error_code: 203
--- response_body chomp
hello


=== TEST 7: uwsgi: the request
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query eval: "\x05\x0a\x00\x09\x01\x00A\x05\x00value"
--- tcp_reply eval: "HTTP/1.1 200 OK\r\n\r\nhello"
--- config
    location /t {
        uwsgi_modifier1 5;
        uwsgi_modifier2 9;
        uwsgi_param A value;
        uwsgi_pass_request_headers off;
        uwsgi_pass uwsgi://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
--- request
GET /t
--- response_body chomp
hello


=== TEST 8: nobody there
--- config
    location /f { fastcgi_pass unix:$TEST_NGINX_SERVER_ROOT/none; }
    location /s { scgi_pass 127.0.0.1:1; error_page 502 /e; }
    location /e { return 200 "sorry\n"; }
--- request eval
["GET /f", "GET /s"]
--- error_code eval
[502, 502]
--- response_body_like eval
["502 Bad Gateway", "sorry"]


=== TEST 9: answers are cached, heads without a status line too
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval: "X-A: b\r\nCache-Control: max-age=60\r\n\r\nhello"
--- http_config
    scgi_cache_path $TEST_NGINX_SERVER_ROOT/scgi_cache keys_zone=one:1m;
--- config
    location /t {
        scgi_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        scgi_cache one;
        scgi_cache_key $uri;
        add_header X-Cache $upstream_cache_status;
    }
--- request eval
["GET /t", "GET /t"]
--- response_headers eval
["X-Cache: MISS", "X-Cache: HIT"]
--- response_body eval
["hello", "hello"]
