=== a table set anew by a filter is the one the handler goes on with
--- config
location = /t {
  content_by_lua_block {
    ngx.ctx.word = "handler"
    ngx.say(ngx.ctx.word)
    ngx.flush(true)
    ngx.say(ngx.ctx.word)
    ngx.ctx = { word = "anew" }
    ngx.say(ngx.ctx.word)
  }
  header_filter_by_lua_block {
    ngx.ctx = { word = ngx.ctx.word .. " and filter" }
  }
}
--- request
GET /t
--- response_body
handler
handler and filter
anew

=== phases of a request share the table, requests do not
--- config
location = /t {
  rewrite_by_lua_block {
    ngx.ctx.seen = (ngx.ctx.seen or 0) + 1
  }
  access_by_lua_block {
    ngx.ctx.seen = ngx.ctx.seen + 1
  }
  content_by_lua_block {
    local own = ngx.ctx
    ngx.sleep(0.001)
    ngx.location.capture("/sub")
    ngx.say(own == ngx.ctx, " ", ngx.ctx.seen)
    ngx.say(ngx.location.capture("/sub", { ctx = own }).body, " ", own.seen)
    local thread = ngx.thread.spawn(function()
      ngx.ctx.seen = "thread"
    end)
    ngx.thread.wait(thread)
    ngx.say(own.seen)
  }
}
location = /sub {
  content_by_lua_block {
    ngx.print(ngx.ctx.seen)
    ngx.ctx.seen = "sub"
  }
}
--- request
GET /t
--- response_body
true 2
2 sub
thread

=== timers have tables of their own
--- config
location = /t {
  content_by_lua_block {
    ngx.ctx.word = "request"
    local done
    local function tick()
      local before = ngx.ctx.word
      ngx.ctx.word = "timer"
      ngx.sleep(0.001)
      done = tostring(before) .. " " .. ngx.ctx.word
    end
    ngx.timer.at(0, tick)
    while not done do
      ngx.sleep(0.001)
    end
    ngx.say(done, " ", ngx.ctx.word)
  }
}
--- request
GET /t
--- response_body
nil timer request

=== only a table can be set
--- config
location = /t {
  content_by_lua_block {
    ngx.say(pcall(function()
      ngx.ctx = 1
    end))
  }
}
--- request
GET /t
--- response_body_like: ^false.*ctx should be a table while getting a number$
