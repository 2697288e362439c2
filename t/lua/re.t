ngx.re

=== TEST 1: match and its captures
--- config
    location /t {
        content_by_lua_block {
            local m = ngx.re.match("hello, 1234", "([0-9])(?<rest>[0-9]+)(x)?")
            ngx.say(m[0], " ", m[1], " ", m[2], " ", m.rest, " ", m[3])
            ngx.say(ngx.re.match("hello", "[0-9]"))
            ngx.say(ngx.re.match("HELLO", "hello", "ijo")[0])
            local ctx = { pos = 3 }
            ngx.say(ngx.re.match("12 34", "[0-9]+", "", ctx)[0], " ", ctx.pos)
            ngx.say(ngx.re.match("1", "("))
        }
    }
--- request
GET /t
--- response_body_like
^1234 1 234 234 false
nil
HELLO
34 6
nilpcre2?_compile\(\) failed: missing (closing parenthesis|\)).* in "\("


=== TEST 2: find
--- config
    location /t {
        content_by_lua_block {
            ngx.say(ngx.re.find("hello, 1234", "([0-9])([0-9]+)"))
            ngx.say(ngx.re.find("hello, 1234", "([0-9])([0-9]+)", "jo", nil, 2))
            ngx.say(ngx.re.find("hello", "x"))
        }
    }
--- request
GET /t
--- response_body
811
911
nil


=== TEST 3: gmatch
--- config
    location /t {
        content_by_lua_block {
            for m in ngx.re.gmatch("a1 b2 c3", [[([a-z])(\d)]]) do ngx.print(m[1], "=", m[2], " ") end
            ngx.say()
        }
    }
--- request
GET /t
--- response_body eval
"a=1 b=2 c=3 \n"


=== TEST 4: sub and gsub
--- config
    location /t {
        content_by_lua_block {
            ngx.say(ngx.re.sub("hello, 1234", "([0-9])[0-9]", "[$0][$1]"))
            ngx.say(ngx.re.gsub("hello, world", "([a-z])[a-z]+", "${1}_$$"))
            ngx.say(ngx.re.gsub("a-b", "[a-z]", function(m) return m[0]:upper() .. "$0" end, "jo"))
            ngx.say(ngx.re.gsub("abc", "", "-"))
            ngx.say(ngx.re.sub("abc", "x", "y"))
        }
    }
--- request
GET /t
--- response_body
hello, [12][1]341
h_$, w_$2
A$0-B$02
-a-b-c-4
abc0


=== TEST 5: UTF-8
--- config
    location /t {
        content_by_lua_block {
            ngx.say(ngx.re.match("你好", ".", "u")[0])
            ngx.say(ngx.re.match("\xff", ".", "u"))
        }
    }
--- request
GET /t
--- response_body_like
^你
nil


=== TEST 6: split of ngx.re
--- config
    location /t {
        content_by_lua_block {
            local split = require("ngx.re").split
            ngx.say(table.concat(split("a, b;c", [[[,;]\s*]]), "|"))
            ngx.say(table.concat(split("a,b,c", ",", nil, nil, 2), "|"))
        }
    }
--- request
GET /t
--- response_body
a|b|c
a|b,c
