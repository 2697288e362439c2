=== a function of a module runs in a thread with a VM of its own
--- main_config
thread_pool jobs threads=2;
--- http_config
lua_package_path "$TEST_NGINX_HTML_DIR/?.lua;;";
--- user_files
>>> job.lua
local job = {}
function job.sum(list, more)
  local total = more or 0
  for _, n in ipairs(list) do
    total = total + n
  end
  return total, { digest = ngx.md5("x"), say = ngx.say }
end
function job.fail()
  error("no luck", 0)
end
return job
--- config
location = /t {
  content_by_lua_block {
    local ok, total, more = ngx.run_worker_thread("jobs", "job", "sum", { 1, 2, 3 }, 4)
    ngx.say(ok, " ", total, " ", more.digest, " ", more.say)
    ngx.say(ngx.run_worker_thread("jobs", "job", "fail"))
    ngx.say(ngx.run_worker_thread("jobs", "job", "nothing"))
    ngx.say(ngx.run_worker_thread("none", "job", "sum"))
    ngx.say(ngx.run_worker_thread("jobs", "job", "sum", ngx.say))
  }
}
--- request
GET /t
--- response_body
true 10 9dd4e461268c8034f5c8564e155c67a6 nil
falseno luck
falseinvalid function
falsethread pool none not found
falseunsupported Lua type: LUA_TFUNCTION in the argument

=== a dictionary is shared with the threads
--- main_config
thread_pool jobs threads=1 max_queue=8;
--- http_config
lua_package_path "$TEST_NGINX_HTML_DIR/?.lua;;";
lua_shared_dict cats 1m;
--- user_files
>>> count.lua
return { up = function(key)
  return ngx.shared.cats:incr(key, 2)
end }
--- config
location = /t {
  content_by_lua_block {
    ngx.shared.cats:set("n", 40)
    ngx.say(ngx.run_worker_thread("jobs", "count", "up", "n"))
    ngx.say(ngx.shared.cats:get("n"))
  }
}
--- request
GET /t
--- response_body
true42
42

=== other requests are served while a thread works
--- main_config
thread_pool jobs threads=2;
--- http_config
lua_package_path "$TEST_NGINX_HTML_DIR/?.lua;;";
--- user_files
>>> slow.lua
return { nap = function()
  local told
  repeat
    os.execute("sleep 0.01")
    told = io.open("$TEST_NGINX_HTML_DIR/told")
  until told
  return told:read()
end }
--- config
location = /t {
  content_by_lua_block {
    local nap = ngx.thread.spawn(function() return ngx.run_worker_thread("jobs", "slow", "nap") end)
    ngx.sleep(0.01)
    local told = io.open("$TEST_NGINX_HTML_DIR/telling", "w")
    told:write("told")
    told:close()
    os.rename("$TEST_NGINX_HTML_DIR/telling", "$TEST_NGINX_HTML_DIR/told")
    ngx.say("still here")
    ngx.say(select(3, ngx.thread.wait(nap)))
  }
}
--- request
GET /t
--- response_body
still here
told
