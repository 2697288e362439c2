=== captured lines of the error log
--- http_config
lua_capture_error_log 32k;
--- config
location = /t {
  content_by_lua_block {
    local errlog = require "ngx.errlog"
    ngx.log(ngx.WARN, "first")
    errlog.set_filter_level(ngx.ERR)
    ngx.log(ngx.WARN, "second")
    ngx.log(ngx.ERR, "third")
    local logs = errlog.get_logs(5)
    ngx.say(#logs)
    for i = 1, #logs, 3 do
      ngx.say(logs[i], " ", type(logs[i + 1]), " ", logs[i + 2]:match("%[lua%] .-: (%w+), client"))
    end
    ngx.say(#errlog.get_logs())
    ngx.say(errlog.set_filter_level())
    ngx.say(errlog.set_filter_level(12))
  }
}
--- request
GET /t
--- response_body
6
5 number first
4 number third
0
nilmissing "level" argument
nilbad log level: 12

=== nothing is captured unless told to
--- config
location = /t {
  content_by_lua_block {
    ngx.say(require("ngx.errlog").get_logs())
  }
}
--- request
GET /t
--- response_body
nildirective "lua_capture_error_log" is not set
