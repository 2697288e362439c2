What filters do to a response.

=== TEST 1: gzip packs for those who accept it
--- config
    gzip on; gzip_min_length 1; gzip_types text/plain; gzip_vary on;
    location /t { root html; }
--- user_files
>>> t.txt
hello hello hello hello hello hello
--- more_headers eval
["Accept-Encoding: gzip", "Accept-Encoding: gzip;q=0"]
--- request eval
["GET /t.txt", "GET /t.txt"]
--- response_headers eval
["Content-Encoding: gzip\nVary: Accept-Encoding", "!Content-Encoding\nVary: Accept-Encoding"]


=== TEST 2: charset is named for texts only
--- config
    charset utf-8;
    location /a { default_type text/plain; return 200 "a"; }
    location /b { default_type application/json; return 200 "b"; }
--- request eval
["GET /a", "GET /b"]
--- response_headers eval
["Content-Type: text/plain; charset=utf-8", "Content-Type: application/json"]


=== TEST 3: trailers follow a chunked body
--- config
    location /t { add_trailer X-End $host; add_header X-Start a; echo body; }
--- raw_request eval
"GET /t HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
--- response_headers
X-Start: a
Transfer-Encoding: chunked


=== TEST 4: a pixel
--- config
    location = /p { empty_gif; }
--- request
GET /p
--- response_headers
Content-Type: image/gif
Content-Length: 43


=== TEST 5: add_header on errors only with always
--- config
    location /t { add_header X-A a; add_header X-B b always; return 404; }
--- request
GET /t
--- error_code: 404
--- response_headers
!X-A
X-B: b


=== TEST 6: add_header_inherit says which lines of the outer level are added
--- http_config
    add_header X-Outer 1;
--- config
    location /own { add_header X-Own 2; return 200 "own\n"; }
    location /merge { add_header_inherit merge; add_header X-Own 2; return 200 "merge\n"; }
    location /off { add_header_inherit off; return 200 "off\n"; }
--- request eval
["GET /own", "GET /merge", "GET /off"]
--- response_headers eval
["!X-Outer\nX-Own: 2", "X-Outer: 1\nX-Own: 2", "!X-Outer\n!X-Own"]
