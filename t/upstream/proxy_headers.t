What proxy_pass changes in the head of a response, and what it tells about it.

=== TEST 1: cookies get our domain, path and flags
--- http_config
    server {
        listen $TEST_NGINX_RAND_PORT_1;
        location / {
            add_header Set-Cookie "a=b; Domain=.example.org; Path=/two/x; Secure";
            return 200 "x\n";
        }
    }
--- config
    location /t {
        proxy_cookie_domain example.org example.com;
        proxy_cookie_path /two/ /;
        proxy_cookie_flags a nosecure httponly samesite=lax;
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
    location /off { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request eval
["GET /t", "GET /off"]
--- response_headers eval
["Set-Cookie: a=b; Domain=.example.com; Path=/x; HttpOnly; SameSite=Lax", "Set-Cookie: a=b; Domain=.example.org; Path=/two/x; Secure"]


=== TEST 2: X-Accel-Redirect answers from another location
--- http_config
    server {
        listen $TEST_NGINX_RAND_PORT_1;
        location / {
            add_header X-Accel-Redirect $arg_to;
            add_header Set-Cookie kept=1;
            add_header X-Other lost;
            return 200 "never seen\n";
        }
    }
--- config
    location /t { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    location /inner { internal; return 200 "inner $args\n"; }
    location @named { return 200 "named\n"; }
--- request eval
["GET /t?to=/inner?q", "GET /t?to=@named", "GET /t?to=/../x", "GET /inner"]
--- error_code eval
[200, 200, 404, 404]
--- response_body_like eval
["^inner q\$", "^named\$", "404 Not Found", "404 Not Found"]


=== TEST 3: rules of proxy_redirect, with variables and groups
--- http_config
    server {
        listen $TEST_NGINX_RAND_PORT_1;
        location / { return 302 $arg_to; }
    }
--- config
    location /t {
        proxy_redirect http://up.test/ http://$host:81/;
        proxy_redirect ~^/re/(.*)$ /$1/re;
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
--- request eval
["GET /t?to=http://up.test/a", "GET /t?to=http://other.test/a"]
--- error_code eval
[302, 302]
--- response_headers eval
["Location: http://localhost:81/a", "Location: http://other.test/a"]


=== TEST 4: lines that stay behind, and those let through
--- http_config
    server {
        listen $TEST_NGINX_RAND_PORT_1;
        location / {
            add_header X-Pad padding; add_header X-Accel-Charset utf-8; add_header X-Seen yes;
            return 200 "x\n";
        }
    }
--- config
    location /t {
        proxy_pass_header X-Pad;
        proxy_hide_header X-Seen;
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
--- request
GET /t
--- response_headers
X-Pad: padding
!X-Accel-Charset
!X-Seen


=== TEST 5: variables about the upstream's response
--- http_config
    server {
        listen $TEST_NGINX_RAND_PORT_1;
        location / {
            add_header X-Up 1; add_header X-Up 2;
            add_header Set-Cookie "tea=green; path=/";
            return 201 "12345";
        }
    }
--- config
    location /t {
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        add_header V "$upstream_status $upstream_http_x_up $upstream_cookie_tea $proxy_host $proxy_port";
        add_header T "$upstream_connect_time $upstream_header_time";
    }
--- request
GET /t
--- error_code: 201
--- response_headers
V: 201 1, 2 green 127.0.0.1:$TEST_NGINX_RAND_PORT_1 $TEST_NGINX_RAND_PORT_1
--- response_body chomp
12345


=== TEST 6: tries of two passes in one list
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; return 404; }
    server { listen $TEST_NGINX_RAND_PORT_2; return 200 "second\n"; }
--- config
    location /t {
        proxy_intercept_errors on;
        error_page 404 = @other;
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
    location @other {
        add_header S $upstream_status;
        add_header A $upstream_addr;
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2;
    }
--- request
GET /t
--- response_body
second
--- response_headers
S: 404 : 200
A: 127.0.0.1:$TEST_NGINX_RAND_PORT_1 : 127.0.0.1:$TEST_NGINX_RAND_PORT_2


=== TEST 7: the client's addresses add up
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; return 200 "$http_x_forwarded_for\n"; }
--- config
    location /t {
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
--- more_headers
X-Forwarded-For: 10.0.0.1
--- request
GET /t
--- response_body
10.0.0.1, 127.0.0.1


=== TEST 8: headers set outside are forgotten where a location sets its own
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; return 200 "a=$http_x_a b=$http_x_b\n"; }
--- config
    proxy_set_header X-A outer;
    location /in { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    location /own { proxy_set_header X-B own; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request eval
["GET /in", "GET /own"]
--- response_body eval
["a=outer b=\n", "a= b=own\n"]


=== TEST 9: a body of our own, another method
--- http_config
    server {
        listen $TEST_NGINX_RAND_PORT_1;
        location / {
            content_by_lua_block {
                ngx.req.read_body()
                ngx.say(ngx.var.request_method, " ", ngx.var.http_content_length, " ", ngx.req.get_body_data())
            }
        }
    }
--- config
    location /t {
        proxy_method PATCH;
        proxy_set_body "id=$arg_id";
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    }
--- request
POST /t?id=77
long body that is not sent
--- response_body
PATCH 5 id=77


=== TEST 10: a target in an if block, and one in limit_except
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; return 200 "up $request_uri\n"; }
--- config
    location /if {
        if ($arg_p) { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
        return 200 "own\n";
    }
    location /kept {
        set $x 0;
        if ($arg_p) { set $x 1; }
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/k;
    }
    location /except {
        limit_except POST { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
        return 201 "own\n";
    }
--- request eval
["GET /kept?p=1", "GET /kept"]
--- response_body eval
["up /k?p=1\n", "up /k\n"]
