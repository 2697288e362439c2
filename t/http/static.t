Files from a folder.

=== TEST 1: a file with its type, length and validators
--- config
    location / { root html; }
    types { text/html html; text/plain txt; }
--- user_files
>>> a.txt
hello
--- request
GET /a.txt
--- response_body
hello
--- response_headers
Content-Type: text/plain
Content-Length: 6
Accept-Ranges: bytes
--- raw_response_headers_like: Last-Modified: \w+, \d\d \w+ \d{4} \d\d:\d\d:\d\d GMT\r\n.*ETag: "[0-9a-f]+-6"


=== TEST 2: index and the redirect to a folder
--- config
    location / { root html; index none.html index.html; }
--- user_files
>>> sub/index.html
sub index
--- request eval
["GET /sub/", "GET /sub?a=1"]
--- error_code eval
[200, 301]
--- response_headers eval
["Content-Length: 10", "Location: http://localhost:$TEST_NGINX_SERVER_PORT/sub/?a=1"]


=== TEST 3: a folder without an index is forbidden
--- config
    location / { root html; index none.html; }
--- request
GET /
--- error_code: 403
--- error_log
is forbidden


=== TEST 4: alias
--- config
    location /files/ { alias $TEST_NGINX_HTML_DIR/; }
    location ~ ^/re/(.*)$ { alias $TEST_NGINX_HTML_DIR/$1; }
--- user_files
>>> a.txt
hello
--- request eval
["GET /files/a.txt", "GET /re/a.txt", "GET /files/none"]
--- error_code eval
[200, 200, 404]


=== TEST 5: ranges
--- config
    location / { root html; }
--- user_files
>>> a.txt
0123456789
--- request eval
["GET /a.txt", "GET /a.txt", "GET /a.txt", "GET /a.txt", "GET /a.txt"]
--- more_headers eval
["Range: bytes=2-4", "Range: bytes=-3", "Range: bytes=8-", "Range: bytes=50-", "Range: lines=1-2"]
--- error_code eval
[206, 206, 206, 416, 200]
--- response_body_like eval
[qr/^234$/, qr/^89\n$/, qr/^89\n$/, qr/416 Requested Range/, qr/^0123456789\n$/]
--- response_headers eval
["Content-Range: bytes 2-4/11", "Content-Range: bytes 8-10/11", "Content-Range: bytes 8-10/11", "Content-Range: bytes */11", "!Content-Range"]


=== TEST 6: several ranges make a multipart answer
--- config
    location / { root html; }
--- user_files
>>> a.txt
0123456789
--- request
GET /a.txt
--- more_headers
Range: bytes=0-1,4-5
--- error_code: 206
--- raw_response_headers_like: Content-Type: multipart/byteranges; boundary=\d{20}
--- response_body_like: ^\r\n--\d{20}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/11\r\n\r\n01\r\n--\d{20}\r\n.*bytes 4-5/11\r\n\r\n45\r\n--\d{20}--\r\n$


=== TEST 7: conditions
--- config
    location / { root html; }
--- user_files
>>> a.txt
hello
--- request eval
["GET /a.txt", "GET /a.txt", "GET /a.txt", "GET /a.txt"]
--- more_headers eval
["If-Modified-Since: Fri, 01 Jan 2038 00:00:00 GMT", "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT", "If-None-Match: *", "If-Match: \"no\""]
--- error_code eval
[200, 412, 304, 412]


=== TEST 8: only GET and HEAD
--- config
    location / { root html; }
--- request eval
["POST /index.html\nx", "HEAD /index.html", "PUT /index.html\nx"]
--- error_code eval
[405, 200, 405]


=== TEST 9: a missing file is logged with its path
--- config
    location / { root html; }
--- request
GET /none.txt
--- error_code: 404
--- error_log eval
qr{\[error\] \d+#\d+: \*\d+ open\(\) ".*/html/none\.txt" failed \(2: No such file or directory\), client: 127\.0\.0\.1, server: localhost, request: "GET /none\.txt HTTP/1\.1", host: "localhost"}


=== TEST 10: try_files with a code
--- config
    location /t { root html; try_files $uri $uri/ /a.txt =404; }
    location /none { root html; try_files $uri =418; }
--- user_files
>>> a.txt
hello
--- request eval
["GET /t", "GET /none"]
--- error_code eval
[200, 418]


=== TEST 11: expires and add_header
--- config
    location /t { root html; expires 1h; add_header X-A b; try_files /index.html =404; }
    location /never { expires epoch; return 200; }
    location /e { add_header X-Not c; add_header X-Yes d always; return 404; }
--- request eval
["GET /t", "GET /never", "GET /e"]
--- error_code eval
[200, 200, 404]
--- response_headers eval
["Cache-Control: max-age=3600\nX-A: b", "Expires: Thu, 01 Jan 1970 00:00:01 GMT\nCache-Control: no-cache", "!X-Not\nX-Yes: d"]


=== TEST 12: autoindex lists a folder
--- config
    location /d/ { root html; autoindex on; }
--- user_files
>>> d/one.txt
1
--- request
GET /d/
--- response_body_like: <title>Index of /d/</title>.*<a href="one\.txt">one\.txt</a>
