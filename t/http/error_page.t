Pages for errors.

=== TEST 1: another URI, another code
--- config
    error_page 404 /missing.txt;
    error_page 500 502 =200 /fine;
    location /a { return 404; }
    location /b { return 502; }
    location = /missing.txt { internal; return 200 "missing $status\n"; }
    location /fine { return 200 "fine\n"; }
--- request eval
["GET /a", "GET /b"]
--- error_code eval
[404, 200]


=== TEST 2: a named location keeps the URI, = takes its code
--- config
    location /a { error_page 403 = @rescue; return 403; }
    location @rescue { return 202 "rescued $uri\n"; }
--- request
GET /a
--- error_code: 202
--- response_body
rescued /a


=== TEST 3: a full URL redirects
--- config
    location /a { error_page 404 http://example.com/; return 404; }
    location /b { error_page 404 =301 http://example.com/; return 404; }
--- request eval
["GET /a", "GET /b"]
--- error_code eval
[302, 301]


=== TEST 4: error pages of error pages only when asked for
--- config
    location /a { error_page 404 /b; return 404; }
    location /b { error_page 403 /c; return 403; }
    location /c { return 200 "c\n"; }
    location /r/a { recursive_error_pages on; error_page 404 /r/b; return 404; }
    location /r/b { recursive_error_pages on; error_page 403 =200 /c; return 403; }
--- request eval
["GET /a", "GET /r/a"]
--- error_code eval
[403, 200]


=== TEST 5: the built-in page
--- config
    location /a { return 404; }
--- request
GET /a
--- error_code: 404
--- response_headers
Content-Type: text/html
--- response_body_like: ^<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n<hr><center>[^<]+</center>\r\n</body>\r\n</html>\r\n$


=== TEST 6: server_tokens off hides the version
--- config
    server_tokens off;
    location /a { return 404; }
--- request
GET /a
--- error_code: 404
--- response_body_unlike: \d\.\d+\.\d
--- raw_response_headers_unlike: Server: [^\r]*/


=== TEST 7: an error page for a POST becomes a GET
--- config
    error_page 405 /m;
    location /a { return 405; }
    location /m { return 200 "$request_method\n"; }
--- request
POST /a
x
--- error_code: 405
--- response_body
GET
