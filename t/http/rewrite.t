The rewrite module: set, if, rewrite, break, return.

=== TEST 1: rewrite with captures and arguments
--- config
    location /old { rewrite ^/old/(\w+)/(.*)$ /new?a=$1&b=$2; }
    location /new { return 200 "$uri $args\n"; }
--- request eval
["GET /old/x/y", "GET /old/x/y?c=3"]
--- response_body eval
["/new a=x&b=y\n", "/new a=x&b=y&c=3\n"]


=== TEST 2: a question mark at the end drops the old arguments
--- config
    location /old { rewrite ^ /new? last; }
    location /new { return 200 "[$args]\n"; }
--- request
GET /old?a=1
--- response_body
[]


=== TEST 3: break stays in the location
--- config
    location /t { rewrite ^ /u break; return 200 "not reached\n"; }
    location /u { return 200 "other\n"; }
--- request
GET /t
--- error_code: 404
--- error_log
/html/u" failed (2: No such file or directory)


=== TEST 4: permanent and redirect
--- config
    location /p { rewrite ^/p/(.*) /q/$1 permanent; }
    location /r { rewrite ^ http://example.com/x redirect; }
--- request eval
["GET /p/1?a=b", "GET /r?a=b"]
--- error_code eval
[301, 302]
--- response_headers eval
["Location: http://localhost:$TEST_NGINX_SERVER_PORT/q/1?a=b", "Location: http://example.com/x?a=b"]


=== TEST 5: ten rounds of rewriting are too many
--- config
    location /loop { rewrite ^ /loop/x last; }
--- request
GET /loop
--- error_code: 500
--- error_log
rewrite or internal redirection cycle while processing "/loop/x"


=== TEST 6: conditions of if
--- config
    location /t {
        set $out "";
        if ($arg_a) { set $out "${out}a"; }
        if ($arg_a = 1) { set $out "${out}="; }
        if ($arg_a != 1) { set $out "${out}!"; }
        if ($arg_a ~ ^(\d)$) { set $out "${out}d$1"; }
        if ($arg_a ~* "X") { set $out "${out}x"; }
        if ($arg_a !~ \d) { set $out "${out}n"; }
        return 200 "$out\n";
    }
--- request eval
["GET /t", "GET /t?a=0", "GET /t?a=1", "GET /t?a=xyz"]
--- response_body eval
["!n\n", "!d0\n", "a=d1\n", "a!xn\n"]


=== TEST 7: file conditions of if
--- config
    root html;
    location /t {
        set $out "";
        if (-f $document_root/file.txt) { set $out "${out}f"; }
        if (-d $document_root) { set $out "${out}d"; }
        if (-e $document_root/none) { set $out "${out}e"; }
        if (!-e $document_root/none) { set $out "${out}!e"; }
        return 200 "$out\n";
    }
--- user_files
>>> file.txt
x
--- request
GET /t
--- response_body
fd!e


=== TEST 8: an if block is a location of its own
--- config
    location /t {
        default_type text/one;
        add_header X-Which outer always;
        if ($arg_a) {
            add_header X-Which inner always;
        }
        try_files /index.html =404;
        types { }
    }
--- user_files
>>> index.html
body
--- request eval
["GET /t", "GET /t?a=1"]
--- response_headers eval
["X-Which: outer", "X-Which: inner"]
--- error_code eval
[200, 404]


=== TEST 9: rewrites of the server run before the location is chosen
--- config
    rewrite ^/from$ /to;
    set $seen yes;
    location /to { return 200 "to $seen\n"; }
--- request
GET /from
--- response_body
to yes


=== TEST 10: return with a code only, with a URL, and without a body for 444
--- config
    location /code { return 403; }
    location /url { return http://example.com/; }
    location /gone { return 410 "gone\n"; }
--- request eval
["GET /code", "GET /url", "GET /gone"]
--- error_code eval
[403, 302, 410]


=== TEST 11: 204 has no body and no length
--- config
    location /t { return 204; }
--- request
GET /t
--- error_code: 204
--- response_headers
!Content-Length
!Content-Type


=== TEST 12: a regex in a rewrite may not be broken
--- config
    location /t { rewrite ^/(a /b; }
--- must_die
--- error_log
missing closing parenthesis
