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
