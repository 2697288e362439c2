A cookie by which a client is known again.

=== TEST 1: a new client gets one, a known one does not
--- config
    userid on;
    userid_name who;
    userid_path /p;
    userid_domain example.com;
    location / { return 200 "[$uid_got]\n"; }
--- request eval
["GET /", "GET /"]
--- more_headers eval
["", "Cookie: who=AQAAf2sBin0AAAAFAgMDAw=="]
--- response_body_like eval
["^\\[\\]\$", "^\\[who=[0-9A-F]{32}\\]\$"]
--- raw_response_headers_like eval
["Set-Cookie: who=[\\w+/]{22}==; domain=example.com; path=/p", "HTTP/1.1 200"]


=== TEST 2: off
--- config
    location / { userid off; return 200 "[$uid_got]\n"; }
--- request
GET /
--- response_body
[]
--- response_headers
!Set-Cookie
