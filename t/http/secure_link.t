Links that only somebody who knows a secret can have made.

=== TEST 1: a hash of the URI
--- config
    location / {
        secure_link $arg_h,$arg_e;
        secure_link_md5 "secret$uri$arg_e";
        return 200 "[$secure_link] $secure_link_expires\n";
    }
--- request eval
["GET /a?h=4f-JjLFYxVRlVGJ4lPbJ7Q&e=4000000000", "GET /a?h=junk&e=1", "GET /a?h=AAAAAAAAAAAAAAAAAAAAAA&e=4000000000"]
--- response_body_like eval
["^\\[\\d?\\] 4000000000\$", "^\\[\\] 1\$", "^\\[\\] 4000000000\$"]


=== TEST 2: a secret word
--- config
    location /p/ { secure_link_secret word; return 200 "[$secure_link]\n"; }
--- request eval
["GET /p/5e42f4d1ab4d4cc4bc5ab55f4f2ac4d2/link", "GET /p/short/link", "GET /p/link"]
--- response_body eval
["[]\n", "[]\n", "[]\n"]
