Variables by the network an address lies in.

=== TEST 1: the narrowest network
--- http_config
    geo $arg_ip $net {
        default none;
        10.0.0.0/8 ten;
        10.1.0.0/16 ten-one;
        2001:db8::/32 six;
    }
--- config
    location / { return 200 "$net\n"; }
--- request eval
["GET /?ip=10.2.3.4", "GET /?ip=10.1.3.4", "GET /?ip=2001:db8::1", "GET /?ip=junk"]
--- response_body eval
["ten\n", "ten-one\n", "six\n", "none\n"]


=== TEST 2: ranges, and what is taken out of them
--- http_config
    geo $arg_ip $range {
        ranges;
        default none;
        10.0.0.0-10.0.0.255 first;
        10.0.1.0-10.0.1.255 second;
        127.0.0.0-127.0.0.255 gone;
        delete 127.0.0.0-127.0.0.255;
    }
--- config
    location / { return 200 "$range\n"; }
--- request eval
["GET /?ip=10.0.0.7", "GET /?ip=10.0.1.0", "GET /?ip=127.0.0.1", "GET /?ip=11.0.0.0"]
--- response_body eval
["first\n", "second\n", "none\n", "none\n"]


=== TEST 3: behind a proxy
--- http_config
    geo $where { proxy 127.0.0.0/8; default far; 192.0.2.0/24 near; }
--- config
    location / { return 200 "$where\n"; }
--- request eval
["GET /", "GET /", "GET /"]
--- more_headers eval
["X-Forwarded-For: 192.0.2.7", "X-Forwarded-For: 192.0.2.7, 198.51.100.1", ""]
--- response_body eval
["near\n", "far\n", "far\n"]
