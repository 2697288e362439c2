=== a lock is held by one at a time
--- http_config
lua_shared_dict locks 100k;
--- config
location = /t {
  content_by_lua_block {
    local lock = require "resty.lock"
    local a, b = lock:new("locks"), lock:new("locks", { timeout = 0.01 })
    ngx.say(a:lock("k"), " ", a:lock("k"))
    ngx.say(b:lock("k"))
    ngx.say(a:unlock(), " ", a:unlock())
    ngx.say(b:lock("k"))
    ngx.say(b:expire(1))
    ngx.say(lock:new("none"))
  }
}
--- request
GET /t
--- response_body
0 nillocked
niltimeout
1 nilunlocked
0
true
nildictionary not found

=== a cache forgets what was not used for longest
--- config
location = /t {
  content_by_lua_block {
    local cache = require("resty.lrucache").new(2)
    cache:set("a", 1)
    cache:set("b", 2)
    cache:get("a")
    cache:set("c", 3, 0.001)
    ngx.say((cache:get("a")), " ", (cache:get("b")), " ", cache:count(), " ", cache:capacity())
    ngx.sleep(0.01)
    local value, stale = cache:get("c")
    ngx.say(value, " ", stale)
    ngx.say(table.concat(cache:get_keys(), " "))
    cache:delete("a")
    ngx.say((cache:get("a")), " ", cache:count())
    cache:flush_all()
    ngx.say(cache:count())
  }
}
--- request
GET /t
--- response_body
1 nil 2 2
nil 3
c a
nil 1
0

=== digests of text in pieces
--- config
location = /t {
  content_by_lua_block {
    local to_hex = require("resty.string").to_hex
    for _, name in ipairs { "md5", "sha1", "sha256" } do
      local digest = require("resty." .. name):new()
      digest:update("hel")
      digest:update("lo")
      ngx.say(to_hex(digest:final()))
    end
  }
}
--- request
GET /t
--- response_body
5d41402abc4b2a76b9719d911017c592
aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d
2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824

=== the process and its master
--- config
location = /t {
  content_by_lua_block {
    local process = require "ngx.process"
    ngx.say(process.type(), " ", process.get_master_pid() == ngx.worker.pid())
    ngx.say(process.enable_privileged_agent())
  }
}
--- request
GET /t
--- response_body
single true
nilAPI disabled in the current context
