ngx.balancer.

=== a script chooses the peer, and another one after a failure
--- http_config
    upstream chosen {
        server 0.0.0.1;
        balancer_by_lua_block {
            local b = require "ngx.balancer"
            local state, status = b.get_last_failure()
            if not state then
                assert(b.set_more_tries(1))
                assert(b.set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
            else
                ngx.ctx.last = state .. " " .. status
                assert(b.set_current_peer("127.0.0.1", $TEST_NGINX_SERVER_PORT))
            end
        }
    }
--- config
location = /t {
  proxy_pass http://chosen/back;
  header_filter_by_lua_block { ngx.header["X-Last"] = ngx.ctx.last }
}
location = /back {
  return 200 "answered\n";
}
--- request
GET /t
--- response_body
answered
--- response_headers
X-Last: failed 502
--- error_log
connect() failed (111: Connection refused) while connecting to upstream



=== outside of its phase there is no upstream
--- config
location = /t {
  content_by_lua_block {
    local b = require "ngx.balancer"
    ngx.say(b.set_current_peer("127.0.0.1", 80))
    ngx.say(b.set_more_tries(1))
    ngx.say(pcall(b.set_timeouts, 0))
  }
}
--- request
GET /t
--- response_body
nilno upstream found
nilno upstream found
falsebad connect timeout



=== kept connections are told apart by the name they were opened for
--- http_config
    upstream named {
        server 0.0.0.1;
        balancer_keepalive 4;
        balancer_by_lua_block {
            local b = require "ngx.balancer"
            package.loaded.early = { b.enable_keepalive() }
            assert(b.set_current_peer("127.0.0.1", $TEST_NGINX_SERVER_PORT, ngx.var.arg_name))
            assert(b.enable_keepalive(60, 3))
        }
    }
--- config
location = /to {
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_pass http://named/back;
}
location = /back {
  return 200 $connection;
}
location = /t {
  content_by_lua_block {
    local seen, order = {}, {}
    for _, name in ipairs { "one.test", "two.test", "one.test", "one.test", "one.test", "two.test" } do
        local number = ngx.location.capture("/to?name=" .. name).body
        if not seen[number] then
            order[#order + 1] = number
            seen[number] = #order
        end
        ngx.say(name, " by connection ", seen[number])
    end
    ngx.say(unpack(package.loaded.early, 1, 2))
  }
}
--- request
GET /t
--- response_body
one.test by connection 1
two.test by connection 2
one.test by connection 1
one.test by connection 1
one.test by connection 3
two.test by connection 2
nilno current peer set



=== a script says which address of ours a connection comes from
--- http_config
    upstream bound {
        server 0.0.0.1;
        balancer_by_lua_block {
            local b = require "ngx.balancer"
            package.loaded.refused = { b.bind_to_local_addr("nowhere") }
            assert(b.set_current_peer("127.0.0.1", $TEST_NGINX_SERVER_PORT))
            assert(b.enable_keepalive())
            if ngx.var.arg_from then
                assert(b.bind_to_local_addr(ngx.var.arg_from))
            end
        }
    }
--- config
location = /to {
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_pass http://bound/back;
}
location = /back {
  return 200 "$remote_addr\n";
}
location = /t {
  content_by_lua_block {
    for _, args in ipairs { "from=127.0.0.7", "", "from=127.0.0.9", "from=127.0.0.7" } do
        ngx.print(ngx.location.capture("/to?" .. args).body)
    end
    ngx.say(unpack(package.loaded.refused, 1, 2))
  }
}
--- request
GET /t
--- response_body
127.0.0.7
127.0.0.1
127.0.0.9
127.0.0.7
nilinvalid addr nowhere
