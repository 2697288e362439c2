=== nginx's own functions are found through ffi.C
--- config
location = /t {
  content_by_lua_block {
    local ffi = require "ffi"
    ffi.cdef [[
      intptr_t ngx_atoi(const unsigned char *line, size_t n);
      unsigned char *ngx_hex_dump(unsigned char *dst, const unsigned char *src, size_t len);
      extern char **ngx_argv;
    ]]
    ngx.say(tonumber(ffi.C.ngx_atoi("123", 3)), " ", tonumber(ffi.C.ngx_atoi("12x", 3)))
    local out = ffi.new("unsigned char[6]")
    ffi.C.ngx_hex_dump(out, "\1\171\255", 3)
    ngx.say(ffi.string(out, 6))
    ngx.say(#ffi.string(ffi.C.ngx_argv[0]) > 0)
  }
}
--- request
GET /t
--- response_body
123 -1
01abff
true

=== OpenSSL is there for who declares it
--- config
location = /t {
  content_by_lua_block {
    local ffi = require "ffi"
    ffi.cdef "int RAND_bytes(unsigned char *buf, int num);"
    local out = ffi.new("unsigned char[8]")
    ngx.say(ffi.C.RAND_bytes(out, 8))
  }
}
--- request
GET /t
--- response_body
1

=== another provider of OpenSSL does not push out the default one
--- config
location = /t {
  content_by_lua_block {
    local ffi = require "ffi"
    ffi.cdef [[
      void *OSSL_PROVIDER_load(void *libctx, const char *name);
      int OSSL_PROVIDER_available(void *libctx, const char *name);
      int CRYPTO_memcmp(const void *a, const void *b, size_t len);
    ]]
    local C = ffi.C
    ngx.say(C.OSSL_PROVIDER_load(nil, "base") ~= nil)
    ngx.say(C.OSSL_PROVIDER_available(nil, "default"))
    ngx.say(C.CRYPTO_memcmp("same", "same", 4))
  }
}
--- request
GET /t
--- response_body
true
1
0

=== a worker stops accepting on a unix socket for lua-resty-events
--- http_config
    server {
        listen unix:$TEST_NGINX_HTML_DIR/events.sock;
        location / { return 200 "never"; }
    }
    init_worker_by_lua_block {
        local ffi = require "ffi"
        require "resty.core.base"
        ffi.cdef "int ngx_lua_ffi_disable_listening_unix_socket(ngx_str_t *sock_name);"
        local path = "unix:$TEST_NGINX_HTML_DIR/events.sock"
        local name = ffi.new("ngx_str_t[1]")
        name[0].data, name[0].len = path, #path
        ngx.log(ngx.WARN, "code: ", ffi.C.ngx_lua_ffi_disable_listening_unix_socket(name))
    }
--- config
location = /t {
  content_by_lua_block {
    local sock = ngx.socket.tcp()
    sock:settimeout(100)
    ngx.say(sock:connect("unix:$TEST_NGINX_HTML_DIR/events.sock"))
    sock:send("GET / HTTP/1.0\r\n\r\n")
    ngx.say(sock:receive())
  }
}
--- request
GET /t
--- response_body
1
niltimeout
--- error_log
code: 0



=== only a unix socket that is listened on can be left to others
--- http_config
    server {
        listen unix:$TEST_NGINX_HTML_DIR/events.sock;
        location / { return 200 "served"; }
    }
--- config
location = /t {
  content_by_lua_block {
    local ffi = require "ffi"
    require "resty.core.base"
    ffi.cdef "int ngx_lua_ffi_disable_listening_unix_socket(ngx_str_t *sock_name);"
    local function leave(path)
        local name = ffi.new("ngx_str_t[1]")
        name[0].data, name[0].len = path, #path
        return ffi.C.ngx_lua_ffi_disable_listening_unix_socket(name)
    end
    ngx.say(leave("unix:"), " ", leave("unix:$TEST_NGINX_HTML_DIR/other.sock"))
    ngx.say(leave("unix:$TEST_NGINX_HTML_DIR/events.sock"))
  }
}
--- request
GET /t
--- response_body
-1 -1
0
