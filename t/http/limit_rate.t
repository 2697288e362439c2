How fast a response goes out.

=== TEST 1: the rate of a location, of a variable, and of an upstream
--- config
    location /a { limit_rate 6k; limit_rate_after 1k; return 200 "$limit_rate\n"; }
    location /b { set $limit_rate 2k; return 200 "$limit_rate\n"; }
    location /c { return 200 "$limit_rate\n"; }
--- request eval
["GET /a", "GET /b", "GET /c"]
--- response_body eval
["0\n", "2048\n", "0\n"]


=== TEST 2: a slow response arrives whole
--- config
    location / { limit_rate 400; root html; }
--- user_files eval
">>> slow\n" . ("0123456789" x 60)
--- request
GET /slow
--- response_headers
Content-Length: 600
