Files that are packed already, and unpacking for clients that cannot.

=== TEST 1: a location that only has packed text
--- config
    location /p { gzip on; gzip_min_length 0; gzip_types *; gzip_http_version 1.0; gzip_proxied any; return 200 "packed text\n"; }
    location /u { gunzip on; proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/p; proxy_set_header Accept-Encoding gzip; }
--- request eval
["GET /u", "GET /p"]
--- response_body eval
["packed text\n", "packed text\n"]


=== TEST 2: file.gz answers for file
--- config
    location / { gzip_static on; root html; }
    location /always/ { gzip_static always; alias html/; }
--- user_files
>>> a.txt
plain
>>> a.txt.gz
pretends to be packed
--- request eval
["GET /a.txt", "GET /a.txt", "GET /always/a.txt"]
--- more_headers eval
["", "Accept-Encoding: gzip", ""]
--- response_body eval
["plain\n", "pretends to be packed\n", "pretends to be packed\n"]
--- response_headers eval
["!Content-Encoding", "Content-Encoding: gzip", "Content-Encoding: gzip"]
