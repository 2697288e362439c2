The headers-more module.

=== TEST 1: output headers
--- config
    location /t {
        more_set_headers "X-A: $arg_a" "X-B: b";
        more_set_headers -s 404 "X-Not: found";
        more_set_headers -t "text/plain" "X-Plain: yes";
        more_clear_headers X-Gone "X-Wild*";
        add_header X-Gone 1;
        add_header X-Wild-One 1;
        echo ok;
    }
--- request
GET /t?a=1
--- response_headers
X-A: 1
X-B: b
!X-Not
X-Plain: yes


=== TEST 2: the Server header and the content type
--- config
    location /t {
        more_set_headers "Server: mine" "Content-Type: text/special";
        echo ok;
    }
    location /none { more_clear_headers Server; echo ok; }
--- request eval
["GET /t", "GET /none"]
--- response_headers eval
["Server: mine\nContent-Type: text/special", "!Server"]


=== TEST 3: on errors too
--- config
    location /t { more_set_headers "X-A: a"; return 404; }
--- request
GET /t
--- error_code: 404
--- response_headers
X-A: a


=== TEST 4: input headers
--- config
    location /t {
        more_set_input_headers "X-New: n" "Host: other.test";
        more_set_input_headers -r "X-Absent: a";
        more_clear_input_headers X-Old;
        echo "$http_x_new|$http_x_old|$http_x_absent|$host";
    }
--- more_headers
X-Old: o
--- request
GET /t
--- response_body
n|||other.test
