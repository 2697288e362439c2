Who may come in.

=== TEST 1: the first rule that fits decides
--- config
    location /no { deny 127.0.0.1; allow all; return 200 "return comes before access\n"; }
    location /file { deny all; root html; try_files /index.html =404; }
    location /net { allow 127.0.0.0/8; deny all; root html; try_files /index.html =404; }
    location /six { allow ::1; deny all; try_files /index.html =404; }
--- request eval
["GET /no", "GET /file", "GET /net", "GET /six"]
--- error_code eval
[200, 403, 200, 403]
--- error_log
access forbidden by rule


=== TEST 2: satisfy any lets either check open the door
--- config
    location /any {
        satisfy any;
        allow 127.0.0.1;
        deny all;
        auth_basic "closed";
        auth_basic_user_file $TEST_NGINX_HTML_DIR/users;
        try_files /index.html =404;
    }
    location /all {
        auth_basic "closed";
        auth_basic_user_file $TEST_NGINX_HTML_DIR/users;
        try_files /index.html =404;
    }
--- user_files
>>> users
joe:{PLAIN}secret
--- request eval
["GET /any", "GET /all", "GET /all", "GET /all"]
--- more_headers eval
["", "", "Authorization: Basic am9lOnNlY3JldA==", "Authorization: Basic am9lOndyb25n"]
--- error_code eval
[200, 401, 200, 401]
--- response_headers eval
["", "WWW-Authenticate: Basic realm=\"closed\"", "", ""]


=== TEST 3: limit_except
--- config
    location /t { limit_except GET { deny all; } root html; try_files /index.html =404; }
--- request eval
["GET /t", "HEAD /t", "DELETE /t"]
--- error_code eval
[200, 200, 403]


=== TEST 4: auth_delay keeps a refused client waiting
--- config
    location /slow {
        auth_delay 3s;
        auth_basic "closed";
        auth_basic_user_file $TEST_NGINX_HTML_DIR/users;
        log_by_lua_block {
            local waited = ngx.now() - ngx.req.start_time()
            ngx.log(ngx.WARN, "status ", ngx.status, " late: ", waited >= 2.9)
        }
        try_files /index.html =404;
    }
--- user_files
>>> users
joe:{PLAIN}secret
--- request eval
["GET /slow", "GET /slow"]
--- more_headers eval
["", "Authorization: Basic am9lOnNlY3JldA=="]
--- error_code eval
[401, 200]
--- error_log eval
["status 401 late: true", "status 200 late: false"]
