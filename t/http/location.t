Which location answers a URI.

=== TEST 1: exact beats regex beats prefix, and ^~ stops regexes
--- config
    location = /a { return 200 "exact\n"; }
    location /a { return 200 "prefix\n"; }
    location /a/b { return 200 "longer prefix\n"; }
    location ^~ /quiet { return 200 "no regex\n"; }
    location ~ \.(php|PHP)$ { return 200 "regex $1\n"; }
    location ~* \.jpg$ { return 200 "caseless\n"; }
--- request eval
["GET /a", "GET /ab", "GET /a/bc", "GET /a/x.php", "GET /quiet/x.php", "GET /x.JPG"]
--- response_body eval
["exact\n", "prefix\n", "longer prefix\n", "regex php\n", "no regex\n", "caseless\n"]


=== TEST 2: the innermost location answers
--- config
    location /outer {
        location /outer/inner { return 200 "inner\n"; }
        location ~ \.txt$ { return 200 "inner regex\n"; }
        return 200 "outer\n";
    }
--- request eval
["GET /outer/inner/x", "GET /outer/a.txt", "GET /outer/z"]
--- response_body eval
["inner\n", "inner regex\n", "outer\n"]


=== TEST 3: a location without inner ones that fit answers itself
--- config
    location /outer {
        location /outer/inner { default_type text/inner; }
        default_type text/outer;
        root html;
        try_files /index.html =404;
    }
--- request
GET /outer/x
--- response_headers
Content-Type: text/html
--- response_body_like: It works!
--- user_files
>>> index.html
<html>It works!</html>


=== TEST 4: escapes and dot segments are resolved before the search
--- config
    location /safe/ { return 200 "$uri\n"; }
    location / { return 200 "other $uri\n"; }
--- request eval
["GET /x/../safe/%41b", "GET //safe///c", "GET /safe/./d?e=%20"]
--- response_body eval
["/safe/Ab\n", "/safe/c\n", "/safe/d\n"]


=== TEST 5: a URI above the root is a bad request
--- request
GET /../etc/passwd
--- error_code: 400
--- response_body_like: 400 Bad Request


=== TEST 6: merge_slashes off keeps them
--- config
    merge_slashes off;
    location / { return 200 "$uri\n"; }
--- request
GET /a//b
--- response_body
/a//b


=== TEST 7: named locations serve internal jumps only
--- config
    location /t { try_files /none @fallback; }
    location @fallback { return 200 "fallback $uri\n"; }
--- request
GET /t
--- response_body
fallback /t


=== TEST 8: an internal location is not found from outside
--- config
    location /hidden { internal; return 200 "hidden\n"; }
    location /t { rewrite ^ /hidden; }
--- request eval
["GET /hidden", "GET /t"]
--- error_code eval
[404, 200]


=== TEST 9: a named capture of the location becomes a variable
--- config
    location ~ ^/user/(?<id>\d+)$ { return 200 "id=$id\n"; }
--- request
GET /user/42
--- response_body
id=42


=== TEST 10: a prefix that ends in a slash redirects for its missing slash with proxy_pass
--- config
    location /dir/ { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; }
    location /back { return 200 "back\n"; }
--- request
GET /dir
--- error_code: 301
--- response_headers
Location: http://localhost:$TEST_NGINX_SERVER_PORT/dir/
