=== a child is written to, read from and waited for
--- config
location = /t {
  content_by_lua_block {
    local pipe = require "ngx.pipe"
    local proc = assert(pipe.spawn({ "tr", "a-z", "A-Z" }))
    ngx.say(proc:write("hello\nworld"))
    proc:shutdown("stdin")
    ngx.say((proc:stdout_read_line()))
    ngx.say((proc:stdout_read_all()))
    ngx.say(proc:wait())
  }
}
--- request
GET /t
--- response_body
11
HELLO
WORLD
trueexit0

=== a string is a command of the shell, with an environment of its own
--- config
location = /t {
  content_by_lua_block {
    local pipe = require "ngx.pipe"
    local proc = pipe.spawn("echo $FRUIT; echo bad >&2; exit 4", { environ = { "FRUIT=plum" } })
    ngx.say((proc:stdout_read_line()))
    ngx.say((proc:stderr_read_line()))
    ngx.say(proc:wait())
    local both = pipe.spawn("echo bad >&2", { merge_stderr = true })
    ngx.say((both:stdout_read_line()))
    ngx.say((select(2, both:stderr_read_line())))
  }
}
--- request
GET /t
--- response_body
plum
bad
falseexit4
bad
merged to stdout

=== waiting ends with the time, and a child with a signal
--- config
location = /t {
  content_by_lua_block {
    local proc = require("ngx.pipe").spawn({ "sleep", "20" })
    proc:set_timeouts(nil, 20, nil, 20)
    ngx.say((select(2, proc:wait())))
    ngx.say((select(2, proc:stdout_read_any(10))))
    proc:set_timeouts(nil, 20, nil, 60000)
    ngx.say(proc:kill(15))
    ngx.say(proc:wait())
    ngx.say(select(2, proc:kill(15)))
  }
}
--- request
GET /t
--- response_body
timeout
timeout
true
falsesignal15
exited

=== a program that is not there
--- config
location = /t {
  content_by_lua_block {
    ngx.say(require("ngx.pipe").spawn({ "/no/such/program" }):wait())
  }
}
--- request
GET /t
--- response_body
falseexit1
--- error_log
lua pipe child execvp() failed while executing /no/such/program (2: No such file or directory)

=== requests must not wait for a child where they cannot wait
--- config
location = /t {
  content_by_lua_block {
    ngx.ctx.proc = require("ngx.pipe").spawn({ "sleep", "0.1" })
  }
  log_by_lua_block {
    ngx.ctx.proc:wait()
  }
}
--- request
GET /t
--- error_log
API disabled in the context of log_by_lua*
