Variables of the request and of the server.

=== TEST 1: parts of the request line
--- config
    location /t {
        return 200 "$request_method|$request_uri|$uri|$args|$query_string|$is_args|$arg_b|$server_protocol\n";
    }
--- request
GET /t%41?a=1&b=x%20y
--- response_body
GET|/t%41?a=1&b=x%20y|/tA|a=1&b=x%20y|a=1&b=x%20y|?|x%20y|HTTP/1.1


=== TEST 2: headers, cookies and host
--- config
    location /t {
        return 200 "$http_x_one|$http_user_agent|$cookie_session|$host|$http_host|$http_nothing|\n";
    }
--- more_headers
X-One: first
User-Agent: tester
Cookie: a=b; session=s1
Host: Example.COM:81
--- request
GET /t
--- response_body
first|tester|s1|example.com|Example.COM:81||


=== TEST 3: connection and server
--- config
    location /t {
        return 200 "$remote_addr $server_addr $server_port $server_name $scheme $https\n";
    }
--- request
GET /t
--- response_body
127.0.0.1 127.0.0.1 $TEST_NGINX_SERVER_PORT localhost http 


=== TEST 4: sizes and times have their shapes
--- config
    location /t {
        return 200 "$connection $connection_requests $msec $request_time $request_length $pid $time_iso8601";
    }
--- request
GET /t
--- response_body_like: ^\d+ 1 \d+\.\d{3} 0\.\d{3} \d+ \d+ \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$


=== TEST 5: set copies a value, and a dollar sign cannot be escaped
--- config
    set $a one;
    location /t {
        set $b "${a}two";
        set $a three;
        return 200 "$a $b\n";
    }
--- request
GET /t
--- response_body
three onetwo


=== TEST 6: an unknown variable stops the server
--- config
    location /t { return 200 "$no_such_thing"; }
--- must_die
--- error_log
unknown "no_such_thing" variable


=== TEST 7: map with exact, regex, wildcard and default
--- http_config
    map $arg_k $mapped {
        hostnames;
        default other;
        one first;
        "~^t(?<rest>.*)$" "t-$rest";
        *.example.com sub;
        "" none;
    }
--- config
    location /t { return 200 "$mapped\n"; }
--- request eval
["GET /t?k=one", "GET /t?k=two", "GET /t?k=a.example.com", "GET /t?k=zzz", "GET /t"]
--- response_body eval
["first\n", "t-wo\n", "sub\n", "other\n", "none\n"]


=== TEST 8: geo by address
--- http_config
    geo $arg_ip $place {
        default nowhere;
        127.0.0.0/8 home;
        10.0.0.0/8 office;
        10.1.2.3 desk;
    }
--- config
    location /t { return 200 "$place\n"; }
--- request eval
["GET /t?ip=127.0.0.1", "GET /t?ip=10.9.9.9", "GET /t?ip=10.1.2.3", "GET /t?ip=8.8.8.8"]
--- response_body eval
["home\n", "office\n", "desk\n", "nowhere\n"]


=== TEST 9: sent headers, after the fact, in the access log
--- http_config
    log_format mine '$status $body_bytes_sent $sent_http_x_a "$request" $request_completion';
--- config
    location /t {
        access_log logs/access.log mine;
        add_header X-A b;
        return 200 "12345";
    }
--- request
GET /t?q
--- access_log
200 5 b "GET /t?q HTTP/1.1" OK


=== TEST 10: log values are escaped
--- http_config
    log_format mine 'a=$arg_a h=$http_x_h';
    log_format as_json escape=json '{"h":"$http_x_h"}';
    log_format raw escape=none 'raw $http_x_h';
--- config
    location /t {
        access_log logs/access.log mine;
        access_log logs/access.log as_json;
        access_log logs/access.log raw;
        return 200;
    }
--- more_headers
X-H: say "hi" \ there
--- request
GET /t?a="b"
--- access_log
a=\x22b\x22 h=say \x22hi\x22 \x5C there
{"h":"say \"hi\" \\ there"}
raw say "hi" \ there
