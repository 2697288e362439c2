Answers of other locations around a response.

=== TEST 1: before and behind
--- config
    location / {
        default_type text/html;
        add_before_body /before;
        add_after_body /after;
        return 200 "body\n";
    }
    location /before { return 200 "before\n"; }
    location /after { return 200 "after $uri\n"; }
--- request
GET /
--- response_body
before
body
after /after


=== TEST 2: not around errors and other types
--- config
    location /404 { add_after_body /after; return 404; }
    location /css { default_type text/css; add_after_body /after; return 200 "body\n"; }
    location /after { return 200 "after\n"; }
--- request eval
["GET /404", "GET /css"]
--- error_code eval
[404, 200]
--- response_body_unlike eval
["after", "after"]
