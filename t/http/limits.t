Limits, and checks that ask elsewhere.

=== TEST 1: limit_req refuses what is over the burst
--- http_config
    limit_req_zone $uri zone=one:1m rate=1r/m;
--- config
    location /t { limit_req zone=one; limit_req_status 429; return 200 "ok\n"; }
    location /a {
        limit_req zone=one; limit_req_status 429;
        add_header X-Limit $limit_req_status always;
        try_files /none =404;
    }
--- request eval
["GET /a", "GET /a"]
--- error_code eval
[404, 429]
--- response_headers eval
["X-Limit: PASSED", "X-Limit: REJECTED"]
--- error_log eval
qr/limiting requests, excess: (1\.000|0\.\d+) by zone/


=== TEST 2: a limit for a key that is empty holds nobody
--- http_config
    limit_req_zone $arg_none zone=one:1m rate=1r/m;
--- config
    location /t { limit_req zone=one; try_files /none =404; }
--- request eval
["GET /t", "GET /t"]
--- error_code eval
[404, 404]
--- no_error_log
limiting requests


=== TEST 3: limit_conn counts what is in work
--- http_config
    limit_conn_zone $server_name zone=two:1m;
--- config
    location /t { limit_conn two 1; echo_sleep 0.01; echo "$limit_conn_status"; }
--- request eval
["GET /t", "GET /t"]
--- response_body eval
["PASSED\n", "PASSED\n"]


=== TEST 4: limit_conn takes a zone and a number
--- config
    location /t { limit_conn nowhere; }
--- must_die
--- error_log
invalid number of arguments in "limit_conn" directive


=== TEST 5: auth_request lets pass, refuses, and sets variables
--- config
    location /open { auth_request /yes; auth_request_set $who $sent_http_x_who; add_header X-Who $who; try_files /none @ok; }
    location /closed { auth_request /no; try_files /none @ok; }
    location @ok { return 200 "in\n"; }
    location = /yes { internal; add_header X-Who me; return 204; }
    location = /no { internal; return 403; }
--- request eval
["GET /open", "GET /closed"]
--- error_code eval
[200, 403]


=== TEST 6: mirror leaves the answer alone
--- config
    location /t { mirror /copy; try_files /none @ok; }
    location @ok { return 200 "in\n"; }
    location = /copy { internal; return 500; }
--- request
GET /t
--- response_body
in


=== TEST 7: referers
--- config
    valid_referers none blocked server_names *.friend.test ~stranger;
    location /t { if ($invalid_referer) { return 403; } return 200 "welcome\n"; }
--- more_headers eval
["Referer: http://www.friend.test/page", "Referer: http://www.enemy.test/", "Referer: https://stranger.test/"]
--- request eval
["GET /t", "GET /t", "GET /t"]
--- error_code eval
[200, 403, 200]
