Answers kept and given again.

=== TEST 1: a miss, a hit, and a variable that goes around
--- http_config
    proxy_cache_path $TEST_NGINX_SERVER_ROOT/cache levels=1:2 keys_zone=one:1m;
    map $upstream_cache_status $seen { default $upstream_cache_status; }
--- config
    location / {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back/;
        proxy_cache one;
        proxy_cache_key $uri;
        proxy_cache_valid 200 1m;
        proxy_cache_bypass $arg_fresh;
        add_header X-Cache $upstream_cache_status;
    }
    location /back/ { return 200 "$args $connection_requests\n"; }
--- request eval
["GET /a?first", "GET /a?second", "GET /a?fresh=1", "GET /a", "HEAD /a"]
--- response_headers eval
["X-Cache: MISS", "X-Cache: HIT", "X-Cache: BYPASS", "X-Cache: HIT", "X-Cache: HIT"]
--- response_body_like eval
["^first", "^first", "^fresh=1", "^fresh=1", "^\$"]


=== TEST 2: what the answer says of itself counts
--- http_config
    proxy_cache_path $TEST_NGINX_SERVER_ROOT/cache keys_zone=one:1m;
--- config
    location / {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back/;
        proxy_cache one;
        add_header X-Cache $upstream_cache_status;
    }
    location /back/private { add_header Cache-Control private; return 200 "x"; }
    location /back/cookie { add_header Set-Cookie a=b; add_header Cache-Control max-age=9; return 200 "x"; }
    location /back/age { add_header Cache-Control max-age=9; return 200 "x"; }
    location /back/silent { return 200 "x"; }
--- request eval
["GET /private", "GET /private", "GET /cookie", "GET /cookie", "GET /age", "GET /age", "GET /silent", "GET /silent"]
--- response_headers eval
["X-Cache: MISS", "X-Cache: MISS", "X-Cache: MISS", "X-Cache: MISS", "X-Cache: MISS", "X-Cache: HIT", "X-Cache: MISS", "X-Cache: MISS"]


=== TEST 3: an old answer is better than none
--- http_config
    proxy_cache_path $TEST_NGINX_SERVER_ROOT/cache keys_zone=one:1m;
    map $connection_requests $back { default 127.0.0.1:$TEST_NGINX_SERVER_PORT; }
--- config
    location / {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back;
        proxy_cache one;
        proxy_cache_key k;
        proxy_cache_valid 200 1s;
        proxy_cache_use_stale http_503;
        proxy_set_header X-Down $arg_down;
        add_header X-Cache $upstream_cache_status;
    }
    location /back { if ($http_x_down) { return 503; } return 200 "up\n"; }
    location /wait { echo_sleep 2.1; echo waited; }
--- request eval
["GET /", "GET /wait", "GET /?down=1"]
--- response_body eval
["up\n", "waited\n", "up\n"]


=== TEST 4: a vary line keeps answers apart, ranges are cut from what is kept
--- http_config
    proxy_cache_path $TEST_NGINX_SERVER_ROOT/cache keys_zone=one:1m;
--- config
    location / {
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back;
        proxy_cache one;
        proxy_cache_valid any 1m;
        add_header X-Cache $upstream_cache_status;
    }
    location /back { add_header Vary X-Kind; add_header Accept-Ranges bytes; return 200 "kind $http_x_kind\n"; }
--- request eval
["GET /", "GET /", "GET /", "GET /", "GET /"]
--- more_headers eval
["X-Kind: a", "X-Kind: b", "X-Kind: a", "X-Kind: b", "X-Kind: a\nRange: bytes=0-3"]
--- response_body eval
["kind a\n", "kind b\n", "kind a\n", "kind b\n", "kind"]
--- response_headers eval
["X-Cache: MISS", "X-Cache: MISS", "X-Cache: HIT", "X-Cache: HIT", "X-Cache: HIT"]
--- error_code eval
[200, 200, 200, 200, 206]


=== TEST 5: a zone nobody described
--- config
    location / { proxy_cache missing; proxy_pass http://127.0.0.1:1; }
--- must_die
--- error_log
"proxy_cache" zone "missing" is unknown
