ngx.upstream: groups and peers as Lua sees them.

=== TEST 1: names of groups, in the order of the configuration
--- http_config
    upstream foo.com { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    upstream bar { server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; }
--- config
    location /t {
        content_by_lua_block {
            local u = require "ngx.upstream"
            ngx.say(table.concat(u.get_upstreams(), " "))
        }
    }
--- request
GET /t
--- response_body
foo.com bar


=== TEST 2: servers with their parameters
--- http_config
    upstream foo.com {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1 weight=4 fail_timeout=53s max_fails=100;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2 backup down;
    }
--- config
    location /t {
        content_by_lua_block {
            local u = require "ngx.upstream"
            for _, s in ipairs(u.get_servers("foo.com")) do
                ngx.say(s.addr, " ", s.name, " ", s.weight, " ", s.fail_timeout, " ", s.max_fails, " ", s.backup, " ", s.down)
            end
            ngx.say(u.get_servers("none"))
        }
    }
--- request
GET /t
--- response_body
127.0.0.1:$TEST_NGINX_RAND_PORT_1 127.0.0.1:$TEST_NGINX_RAND_PORT_1 4 53 100 nil nil
127.0.0.1:$TEST_NGINX_RAND_PORT_2 127.0.0.1:$TEST_NGINX_RAND_PORT_2 1 10 1 true true
nilupstream not found


=== TEST 3: peers, primary and backup, and taking one down
--- http_config
    upstream foo.com {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_3 backup;
    }
    server { listen $TEST_NGINX_RAND_PORT_1; return 200 "one\n"; }
    server { listen $TEST_NGINX_RAND_PORT_2; return 200 "two\n"; }
--- config
    location /t {
        content_by_lua_block {
            local u = require "ngx.upstream"
            local p = u.get_primary_peers("foo.com")
            ngx.say(#p, " ", p[1].id, " ", p[2].id, " ", p[1].name, " ", p[1].down, " ", p[1].weight, " ", p[1].fails)
            ngx.say(#u.get_backup_peers("foo.com"))
            ngx.say(u.set_peer_down("foo.com", false, 0, true))
            ngx.say(u.get_primary_peers("foo.com")[1].down)
            for i = 1, 3 do ngx.print(ngx.location.capture("/proxy").body) end
            ngx.say(u.set_peer_down("foo.com", false, 0, false))
            ngx.say(u.get_primary_peers("foo.com")[1].down)
        }
    }
    location /proxy { proxy_pass http://foo.com; }
--- request
GET /t
--- response_body
2 0 1 127.0.0.1:$TEST_NGINX_RAND_PORT_1 nil 1 0
1
true
true
two
two
two
true
nil


=== TEST 4: mistakes
--- http_config
    upstream foo.com { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- config
    location /t {
        content_by_lua_block {
            local u = require "ngx.upstream"
            ngx.say(u.set_peer_down("none", false, 0, true))
            ngx.say(u.set_peer_down("foo.com", false, 9, true))
            ngx.say(u.get_primary_peers("none"))
            ngx.say(u.current_upstream_name())
        }
    }
--- request
GET /t
--- response_body
nilupstream not found
nilbad peer id
nilupstream not found
nil


=== TEST 5: the name of the group that answers
--- http_config
    upstream foo.com { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    server { listen $TEST_NGINX_RAND_PORT_1; return 200 "ok\n"; }
--- config
    location /t {
        proxy_pass http://foo.com;
        header_filter_by_lua_block {
            ngx.header["X-Group"] = require("ngx.upstream").current_upstream_name()
        }
    }
--- request
GET /t
--- response_headers
X-Group: foo.com
--- response_body
ok
