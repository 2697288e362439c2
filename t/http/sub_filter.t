Words of a response exchanged for others.

=== TEST 1: once, and every time; any letter case
--- config
    default_type text/html;
    location /once { sub_filter cat dog; return 200 "cat Cat cAt\n"; }
    location /all { sub_filter cat dog; sub_filter_once off; return 200 "cat Cat cAt\n"; }
--- request eval
["GET /once", "GET /all"]
--- response_body eval
["dog Cat cAt\n", "dog dog dog\n"]


=== TEST 2: several words, with variables, the first in the file wins
--- config
    location / {
        default_type text/html;
        sub_filter_once off;
        sub_filter ab "<$arg_a>";
        sub_filter $arg_b "[b]";
        sub_filter abc never;
        return 200 "abc xy abx\n";
    }
--- request
GET /?a=1&b=xy
--- response_body
<1>c [b] <1>x


=== TEST 3: only of the types named, and without a length of before
--- config
    location /html { default_type text/html; sub_filter a bb; return 200 "aa\n"; }
    location /css { default_type text/css; sub_filter a bb; return 200 "aa\n"; }
    location /any { default_type text/css; sub_filter_types *; sub_filter a bb; return 200 "aa\n"; }
--- request eval
["GET /html", "GET /css", "GET /any"]
--- response_body eval
["bba\n", "aa\n", "bba\n"]
--- response_headers eval
["!Content-Length", "Content-Length: 3", "!Content-Length"]
