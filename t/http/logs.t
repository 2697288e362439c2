Access logs, and what else happens around a response.

=== TEST 1: a buffered log is written after its time
--- http_config
    log_format short "$uri $status";
--- config
    location /t { access_log logs/short.log short buffer=32k flush=10ms; return 200 "in\n"; }
    location /read {
        content_by_lua_block {
            while true do
                local file = io.open("$TEST_NGINX_SERVER_ROOT/logs/short.log")
                local text = file and file:read("*a")
                if text and #text > 0 then return ngx.print(text) end
                ngx.sleep(0.01)
            end
        }
    }
--- request eval
["GET /t", "GET /read"]
--- response_body eval
["in\n", "/t 200\n"]


=== TEST 2: a packed log
--- http_config
    log_format short "$uri $status";
--- config
    location /t { access_log logs/short.gz short gzip=9 flush=10ms; return 200 "in\n"; }
    location /read {
        content_by_lua_block {
            while true do
                local file = io.open("$TEST_NGINX_SERVER_ROOT/logs/short.gz")
                local text = file and file:read("*a")
                if text and #text > 0 then return ngx.say(text:byte(1), " ", text:byte(2)) end
                ngx.sleep(0.01)
            end
        }
    }
--- request eval
["GET /t", "GET /read"]
--- response_body eval
["in\n", "31 139\n"]


=== TEST 3: a buffer is one file's
--- http_config
    access_log logs/a.log combined buffer=32k;
    access_log logs/a.log combined buffer=64k;
--- config
    location /t { return 200; }
--- must_die
--- error_log
access_log "logs/a.log" already defined with conflicting parameters


=== TEST 4: flush needs a buffer
--- config
    access_log logs/a.log combined flush=1s;
--- must_die
--- error_log
no buffer is defined for access_log "logs/a.log"


=== TEST 5: files by variables need no buffer
--- config
    access_log logs/$uri.log combined buffer=32k;
--- must_die
--- error_log
buffered logs cannot have variables in name


=== TEST 6: a browser of old is sent on by a page
--- config
    msie_refresh on;
    location /t { return 302 /else; }
--- more_headers
User-Agent: Mozilla/4.0 (compatible; MSIE 6.0)
--- request
GET /t
--- error_code: 200
--- response_body_like: content="0; URL=/else"


=== TEST 7: post_action asks when the response is out
--- config
    location /t { post_action /after; return 200 "in\n"; }
    location /named { post_action @after; return 200 "in\n"; }
    location /after { internal; return 204; }
    location @after { return 500; }
--- user_files
>>> t
in
--- request eval
["GET /t", "GET /named"]
--- response_body eval
["in\n", "in\n"]


=== TEST 8: names of a server that are patterns are referers too
--- config
    server_name ~^www\d+\.friend\.test$;
    location /t { valid_referers server_names; return 200 "$invalid_referer.\n"; }
--- more_headers eval
["Referer: http://www12.friend.test/a", "Referer: http://www.friend.test/a"]
--- request eval
["GET /t", "GET /t"]
--- response_body eval
[".\n", "1.\n"]


=== TEST 9: more header lines than max_headers
--- config
    max_headers 3;
    location /t { return 200 "in\n"; }
--- more_headers
X-A: 1
X-B: 2
X-C: 3
--- request
GET /t
--- error_code: 400
--- error_log
client sent too many header lines


=== TEST 10: the port of the request
--- config
    location /t { return 200 "$is_request_port$request_port\n"; }
--- more_headers eval
["Host: a:81", "Host: a"]
--- request eval
["GET /t", "GET /t"]
--- response_body eval
[":81\n", "\n"]
