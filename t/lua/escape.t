Escaping, encoding, digests, time and small things.

=== TEST 1: URIs
--- config
    location /t {
        content_by_lua_block {
            ngx.say(ngx.escape_uri("a b/c?d&é'"), " ", ngx.escape_uri("a b/c", 0))
            ngx.say(ngx.unescape_uri("a+b%20c%zz%41"))
        }
    }
--- request
GET /t
--- response_body
a%20b%2Fc%3Fd%26%C3%A9' a%20b/c
a b c%zzA


=== TEST 2: arguments
--- config
    location /t {
        content_by_lua_block {
            ngx.say(ngx.encode_args({ ["a b"] = "c&d" }), " ", ngx.encode_args({ x = true }), " ", ngx.encode_args({ y = { 1, 2 } }))
            local a, err = ngx.decode_args("a=1&b&c=%20&c=2&=x", 3)
            ngx.say(a.a, " ", a.b, " ", type(a.c), " ", err)
        }
    }
--- request
GET /t
--- response_body
a%20b=c%26d x y=1&y=2
1 true string truncated


=== TEST 3: base64
--- config
    location /t {
        content_by_lua_block {
            ngx.say(ngx.encode_base64("hello"), " ", ngx.encode_base64("hello", true), " ", ngx.decode_base64("aGVsbG8="), " ", ngx.decode_base64("aGVsbG8"), " ", ngx.decode_base64("!"))
            local b = require "ngx.base64"
            ngx.say(b.encode_base64url("\xff\xfe"), " ", #b.decode_base64url("__4"))
        }
    }
--- request
GET /t
--- response_body
aGVsbG8= aGVsbG8 hello hello nil
__4 2


=== TEST 4: digests
--- config
    location /t {
        content_by_lua_block {
            ngx.say(ngx.md5("hello"), " ", #ngx.md5_bin("hello"))
            ngx.say(ngx.encode_base64(ngx.sha1_bin("hello")))
            ngx.say(ngx.crc32_short("hello"), " ", ngx.crc32_long("hello"))
            ngx.say(ngx.encode_base64(ngx.hmac_sha1("key", "text")))
            ngx.say(ngx.quote_sql_str("a'b\n\\"))
        }
    }
--- request
GET /t
--- response_body
5d41402abc4b2a76b9719d911017c592 16
qvTGHdzF6KLavt4PO0gs2a6pQ00=
907060870 907060870
Np4pWetJRQM4shJ0j3fY3tdIR7s=
'a\'b\n\\'


=== TEST 5: time
--- config
    location /t {
        content_by_lua_block {
            ngx.say(ngx.http_time(1290079655), " ", ngx.parse_http_time("Thu, 18 Nov 2010 11:27:35 GMT"), " ", ngx.parse_http_time("x"))
            ngx.say(ngx.cookie_time(1290079655))
            ngx.say(ngx.time() == math.floor(ngx.now()), " ", #ngx.localtime(), " ", #ngx.utctime(), " ", ngx.today() == ngx.localtime():sub(1, 10))
        }
    }
--- request
GET /t
--- response_body
Thu, 18 Nov 2010 11:27:35 GMT 1290079655 nil
Thu, 18-Nov-10 11:27:35 GMT
true 19 19 true


=== TEST 6: constants
--- config
    location /t {
        content_by_lua_block {
            ngx.say(ngx.OK, ngx.ERROR, ngx.AGAIN, ngx.DONE, ngx.DECLINED, " ", ngx.HTTP_OK, ngx.HTTP_NOT_FOUND, ngx.HTTP_GET, ngx.HTTP_POST)
            ngx.say(ngx.STDERR, ngx.EMERG, ngx.ALERT, ngx.CRIT, ngx.ERR, ngx.WARN, ngx.NOTICE, ngx.INFO, ngx.DEBUG)
            ngx.say(type(ngx.null), " ", require("cjson").null == ngx.null)
        }
    }
--- request
GET /t
--- response_body
0-1-2-4-5 20040428
012345678
userdata true


=== TEST 7: worker and config
--- config
    location /t {
        content_by_lua_block {
            ngx.say(ngx.worker.id(), " ", ngx.worker.count(), " ", ngx.worker.pid() > 0, " ", ngx.worker.exiting())
            ngx.say(ngx.config.subsystem, " ", type(ngx.config.debug), " ", type(ngx.config.prefix()), " ", ngx.config.nginx_version > 1000000)
        }
    }
--- request
GET /t
--- response_body_like
^\d+ \d+ true false
http boolean string true


=== TEST 8: cjson and table functions of LuaJIT
--- config
    location /t {
        content_by_lua_block {
            local cjson = require "cjson"
            local t = cjson.decode('{"a":[1,2,{"b":null}],"c":"\\u00e9"}')
            ngx.say(t.a[2], " ", t.a[3].b == cjson.null, " ", t.c, " ", cjson.encode({ 1, "x", false }))
            local new, clear = require "table.new", require "table.clear"
            local list = new(4, 0)
            list[1] = 1
            clear(list)
            ngx.say(#list)
        }
    }
--- request
GET /t
--- response_body
2 true é [1,"x",false]
0


=== TEST 9: logging
--- config
    location /t {
        content_by_lua_block {
            ngx.log(ngx.ERR, "a ", 1, " ", nil, " ", true, " ", ngx.null)
            print("printed ", "line")
            ngx.say("ok")
        }
    }
--- request
GET /t
--- response_body
ok
--- error_log eval
[qr/\[error\] \d+#\d+: \*\d+ \[lua\] content_by_lua\(nginx\.conf:\d+\):2: a 1 nil true null, client: 127\.0\.0\.1, server: localhost, request: "GET \/t HTTP\/1\.1", host: "localhost"/, qr/\[notice\] .*\[lua\] content_by_lua\(nginx\.conf:\d+\):3: printed line/]


=== TEST 10: variables from Lua
--- config
    location ~ ^/t/(\d+)$ {
        set $mine "";
        content_by_lua_block {
            ngx.var.mine = 5
            ngx.say(ngx.var.mine, " ", ngx.var[1], " ", ngx.var.arg_x, " ", ngx.var.none, " ", ngx.var.uri)
            ngx.var.args = "x=2"
            ngx.say(ngx.var.arg_x, " ", ngx.var.http_host)
            ngx.say(pcall(function() ngx.var.none = 1 end))
        }
    }
--- request
GET /t/7?x=1
--- response_body_like
^5 7 1 nil /t/7
2 localhost
false.*variable "none" not found for writing; maybe it is a built-in variable that is not changeable or you forgot to use "set \$none '';" in the config file to define it first
