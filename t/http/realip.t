The client's address as a trusted proxy tells it.

=== TEST 1: from a trusted address
--- config
    location / {
        set_real_ip_from 127.0.0.1;
        return 200 "$remote_addr $realip_remote_addr\n";
    }
    location /forwarded {
        set_real_ip_from 127.0.0.1;
        set_real_ip_from 192.0.2.0/24;
        real_ip_header X-Forwarded-For;
        real_ip_recursive on;
        try_files /none /show;
    }
    location /show { return 200 "$remote_addr\n"; }
--- request eval
["GET /forwarded", "GET /forwarded"]
--- more_headers eval
["X-Forwarded-For: 198.51.100.7, 192.0.2.9", "X-Forwarded-For: junk, 192.0.2.9"]
--- response_body eval
["198.51.100.7\n", "192.0.2.9\n"]


=== TEST 2: for the whole server, before anything looks at the address
--- config
    set_real_ip_from 127.0.0.0/8;
    location / { return 200 "$remote_addr $remote_port. $realip_remote_addr\n"; }
--- request eval
["GET /", "GET /", "GET /"]
--- more_headers eval
["X-Real-IP: 192.0.2.1:77", "X-Real-IP: 2001:db8::1", "X-Real-IP: nobody"]
--- response_body_like eval
["^192\\.0\\.2\\.1 77\\. 127\\.0\\.0\\.1\$", "^2001:db8::1 \\S*\\. 127\\.0\\.0\\.1\$", "^127\\.0\\.0\\.1 \\d+\\. 127\\.0\\.0\\.1\$"]


=== TEST 3: nobody is believed unasked
--- config
    set_real_ip_from 192.0.2.0/24;
    location / { return 200 "$remote_addr\n"; }
--- request
GET /
--- more_headers
X-Real-IP: 198.51.100.1
--- response_body
127.0.0.1
