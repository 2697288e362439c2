Texts converted from one character set to another.

=== TEST 1: byte by byte
--- http_config
    charset_map A B { 58 59; }
--- config
    location / { default_type text/html; charset B; source_charset A; return 200 "XYZ\n"; }
--- request
GET /
--- response_headers
Content-Type: text/html; charset=B
--- response_body
YYZ


=== TEST 2: to UTF-8 and back; what has no byte becomes a number
--- http_config
    charset_map koi utf-8 { C1 D0B0; }
--- config
    location /to { charset utf-8; source_charset koi; default_type text/html; return 200 "\xc1\n"; }
    location /from { charset koi; source_charset utf-8; default_type text/html; return 200 "а€\n"; }
--- request eval
["GET /to", "GET /from"]
--- response_headers eval
["Content-Type: text/html; charset=utf-8", "Content-Type: text/html; charset=koi"]



=== TEST 3: what cannot be converted is told when the configuration is read
--- config
    location /a/ {
        source_charset koi8-r;
        location /a/b { charset utf-8; }
    }
--- must_die
--- error_log
no "charset_map" between the charsets "koi8-r" and "utf-8"
