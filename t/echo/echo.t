The echo module.

=== TEST 1: echo, options and variables
--- config
    location /t {
        echo -n "no newline, ";
        echo "hello" $arg_who "!";
        echo;
        echo -- -n;
    }
--- request
GET /t?who=you
--- response_body
no newline, hello you !

-n


=== TEST 2: status, duplicate, flush, sleep
--- config
    location /t {
        echo_status 404;
        echo_duplicate 3 "ab";
        echo_flush;
        echo_sleep 0.05;
        echo "";
    }
--- request
GET /t
--- error_code: 404
--- response_body
ababab


=== TEST 3: subrequests
--- config
    location /t {
        echo "main";
        echo_location /sub "a=b";
        echo_subrequest POST /sub -q "c=d" -b "body";
        echo_location_async /sub;
    }
    location /sub {
        echo_read_request_body;
        echo "$echo_request_method $args";
        echo_request_body;
        echo;
    }
--- request
GET /t
--- response_body eval
"main\nGET a=b\n\nPOST c=d\nbody\nGET \n\n"


=== TEST 4: the request seen by the client
--- config
    location /t { echo_duplicate 1 $echo_client_request_headers; echo_read_request_body; echo_request_body; }
--- request
POST /t
hello
--- response_body eval
"POST /t HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"


=== TEST 5: exec and before, after
--- config
    location /t { echo_exec /u a=1; }
    location /u { echo_before_body "before"; echo_after_body "after"; echo "u $args"; }
--- request
GET /t
--- response_body
before
u a=1
after


=== TEST 6: loops
--- config
    location /t { echo_foreach_split ',' $arg_list; echo "item: $echo_it"; echo_end; }
--- request
GET /t?list=a,b,c
--- response_body
item: a
item: b
item: c
