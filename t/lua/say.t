ngx.print, ngx.say, ngx.flush, ngx.eof.

=== TEST 1: every kind of argument
--- config
    location /t {
        content_by_lua_block {
            ngx.print("a", 1, 2.5, nil, true, { "x", { "y", 3 } }, ngx.null)
            ngx.say()
            ngx.say("end")
        }
    }
--- request
GET /t
--- response_body
a12.5niltruexy3null
end


=== TEST 2: bad arguments are the caller's mistake
--- config
    location /t {
        content_by_lua_block {
            ngx.say(pcall(ngx.say, { a = 1 }))
            ngx.say(pcall(ngx.print, function() end))
        }
    }
--- request
GET /t
--- response_body_like
^falsebad argument #1 to '(say|\?)' \(non-array table found\)
falsebad argument #1 to '(print|\?)' \(string, number, boolean, nil, ngx.null, or array table expected, but got function\)$


=== TEST 3: output after eof
--- config
    location /t {
        content_by_lua_block {
            ngx.say("one")
            ngx.log(ngx.WARN, "eof: ", ngx.eof())
            local ok, err = ngx.say("two")
            ngx.log(ngx.WARN, "say: ", ok, " ", err)
        }
    }
--- request
GET /t
--- response_body
one
--- error_log
eof: 1
say: nil seen eof


=== TEST 4: flush sends the head
--- config
    location /t {
        content_by_lua_block {
            ngx.say("a")
            ngx.log(ngx.WARN, "before: ", ngx.headers_sent)
            assert(ngx.flush(true))
            ngx.log(ngx.WARN, "after: ", ngx.headers_sent)
            ngx.say("b")
        }
    }
--- request
GET /t
--- response_body
a
b
--- error_log
after: true


=== TEST 5: HTTP/1.0 answers are buffered for a length
--- config
    location /t { keepalive_timeout 200ms; content_by_lua_block { ngx.say("a") ngx.say("b") } }
--- raw_request eval
"GET /t HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
--- response_headers
Content-Length: 4
--- response_body
a
b
