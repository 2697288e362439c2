ngx.header, ngx.status, ngx.resp.

=== TEST 1: set, read, list, remove
--- config
    location /t {
        content_by_lua_block {
            ngx.header["X-One"] = "1"
            ngx.header.x_two = "2"
            ngx.header["X-Many"] = { "a", "b" }
            ngx.header["X-Gone"] = "gone"
            ngx.header["X-Gone"] = nil
            local many = ngx.header["X-Many"]
            ngx.say(ngx.header["X-One"], " ", ngx.header["x-two"], " ", type(many), " ", many[2])
        }
    }
--- request
GET /t
--- response_body
1 2 table b
--- response_headers
X-One: 1
x-two: 2
X-Many: a, b
!X-Gone


=== TEST 2: content type and length
--- config
    default_type text/plain;
    location /t {
        content_by_lua_block {
            ngx.header.content_type = "application/json; charset=utf-8"
            ngx.header.content_length = 3
            ngx.print("{ }")
        }
    }
--- request
GET /t
--- response_headers
Content-Type: application/json; charset=utf-8
Content-Length: 3


=== TEST 3: too late
--- config
    location /t { content_by_lua_block { ngx.print("x") ngx.flush() ngx.header["X-Late"] = 1 } }
--- request
GET /t
--- response_headers
!X-Late
--- error_log
attempt to set ngx.header.HEADER after sending out response headers


=== TEST 4: a newline cannot be smuggled in
--- config
    location /t { content_by_lua_block { ngx.header["X-A"] = "one\r\nX-B: two" ngx.say("ok") } }
--- request
GET /t
--- response_headers
X-A: one%0D%0AX-B: two
!X-B


=== TEST 5: status, with its reason
--- config
    location /t { content_by_lua_block { ngx.status = 404 ngx.say("not here ", ngx.status) } }
--- request
GET /t
--- error_code: 404
--- raw_response_headers_like: ^HTTP/1\.1 404 Not Found\r\n
--- response_body
not here 404


=== TEST 6: resp.get_headers and add_header
--- config
    location /t {
        content_by_lua_block {
            local resp = require "ngx.resp"
            ngx.header["X-A"] = "1"
            resp.add_header("X-A", "2")
            local h = ngx.resp.get_headers()
            ngx.say(table.concat(h["x-a"], ","), " ", h["X-A"][2])
        }
    }
--- request
GET /t
--- response_body
1,2 2


=== TEST 7: the header filter sees and changes
--- config
    location /t {
        return 200 "body\n";
        header_filter_by_lua_block {
            ngx.header["X-Filter"] = ngx.status .. " " .. ngx.header.content_type
            ngx.header.content_length = nil
        }
        body_filter_by_lua_block {
            ngx.arg[1] = string.upper(ngx.arg[1]) .. (ngx.arg[2] and "END\n" or "")
        }
    }
--- request
GET /t
--- response_headers
X-Filter: 200 text/plain
Transfer-Encoding: chunked
--- response_body
BODY
END


=== codings a script names are sent beside ours
--- config
    location /t {
        header_filter_by_lua_block {
            ngx.header["Transfer-Encoding"] = { "chUnked", "CHunked" }
        }
        content_by_lua_block {
            ngx.say("ok")
        }
    }
--- raw_request eval
"GET /t HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
--- raw_response_headers_like: Transfer-Encoding: chUnked\r\nTransfer-Encoding: CHunked\r\n
--- ignore_response
