ngx.shared.DICT

=== TEST 1: kinds of values
--- http_config
    lua_shared_dict d 1m;
--- config
    location /t {
        content_by_lua_block {
            local d = ngx.shared.d
            d:set("s", "text") d:set("n", 1.5) d:set("b", false) d:set("f", 7, 0, 42)
            ngx.say(d:get("s"), " ", d:get("n"), " ", d:get("b"), " ", d:get("none"))
            ngx.say(d:get("f"))
            d:set("s", nil)
            ngx.say(d:get("s"))
            ngx.say(pcall(d.set, d, "t", {}))
        }
    }
--- request
GET /t
--- response_body
text 1.5 false nil
742
nil
truenilbad value type


=== TEST 2: add, replace, delete, incr
--- http_config
    lua_shared_dict d 1m;
--- config
    location /t {
        content_by_lua_block {
            local d = ngx.shared.d
            ngx.say(d:add("k", 1))
            ngx.say(d:add("k", 2))
            ngx.say(d:replace("k", 3))
            ngx.say(d:replace("none", 3))
            ngx.say(d:incr("k", 4))
            ngx.say(d:incr("none", 4))
            ngx.say(d:incr("fresh", 1, 10))
            d:set("s", "x")
            ngx.say(d:incr("s", 1))
            d:delete("k")
            ngx.say(d:get("k"))
        }
    }
--- request
GET /t
--- response_body
truenilfalse
falseexistsfalse
truenilfalse
falsenot foundfalse
7
nilnot found
11nilfalse
nilnot a number
nil


=== TEST 3: expiry
--- http_config
    lua_shared_dict d 1m;
--- config
    location /t {
        content_by_lua_block {
            local d = ngx.shared.d
            d:set("k", "v", 0.05)
            ngx.say(d:get("k"), " ", d:ttl("k") <= 0.05)
            ngx.sleep(0.08)
            ngx.say(d:get("k"))
            d:set("e", 1)
            ngx.say(d:ttl("e"), " ", d:expire("e", 10), " ", d:ttl("e") > 9, " ", d:ttl("none"))
        }
    }
--- request
GET /t
--- response_body
v true
nil
0 true true nilnot found


=== TEST 4: keys and flush_all
--- http_config
    lua_shared_dict d 1m;
--- config
    location /t {
        content_by_lua_block {
            local d = ngx.shared.d
            for i = 1, 3 do d:set("k" .. i, i) end
            local keys = d:get_keys()
            table.sort(keys)
            ngx.say(table.concat(keys, " "), " ", #d:get_keys(2))
            d:flush_all()
            ngx.say(#d:get_keys(), " ", d:get("k1"))
        }
    }
--- request
GET /t
--- response_body
k1 k2 k3 2
0 nil


=== TEST 5: lists
--- http_config
    lua_shared_dict d 1m;
--- config
    location /t {
        content_by_lua_block {
            local d = ngx.shared.d
            ngx.say(d:rpush("l", "b"), d:rpush("l", 3), d:lpush("l", "a"), d:llen("l"))
            ngx.say(d:lpop("l"), d:rpop("l"), d:lpop("l"), d:lpop("l"), d:llen("l"))
            d:set("s", 1)
            ngx.say(d:lpush("s", 1))
            ngx.say(d:get("l"))
            d:rpush("m", 1)
            ngx.say(d:get("m"))
        }
    }
--- request
GET /t
--- response_body
1233
a3bnil0
nilvalue not a list
nil
nilvalue is a list


=== TEST 6: a full dictionary drops the oldest, safe_set does not
--- http_config
    lua_shared_dict d 100k;
--- config
    location /t {
        content_by_lua_block {
            local d = ngx.shared.d
            local forced, n = false, 0
            local big = ("x"):rep(2000)
            repeat
                n = n + 1
                local ok, err, force = d:set("k" .. n, big)
                forced = force
            until forced or n > 200
            ngx.say(n > 10 and n < 100, " ", forced, " ", d:get("k1"), " ", #d:get("k" .. n))
            ngx.say(d:safe_set("more", big))
            ngx.say(d:set("huge", ("y"):rep(200000)))
        }
    }
--- request
GET /t
--- response_body
true true nil 2000
falseno memoryfalse
falseno memorytrue


=== TEST 7: capacity, free space, and bad keys
--- http_config
    lua_shared_dict d 1m;
--- config
    location /t {
        content_by_lua_block {
            local d = ngx.shared.d
            ngx.say(d:capacity(), " ", d:free_space() > 0)
            ngx.say(d:get(nil))
            ngx.say(d:get(""))
            ngx.say(d:get(("k"):rep(65536)))
            ngx.say(ngx.shared.other)
        }
    }
--- request
GET /t
--- response_body
1048576 true
nilnil key
nilempty key
nilkey too long
nil


=== TEST 8: values outlive a request
--- http_config
    lua_shared_dict d 1m;
--- config
    location /t { content_by_lua_block { ngx.say((ngx.shared.d:incr("n", 1, 0))) } }
--- request eval
["GET /t", "GET /t"]
--- response_body_like eval
[qr/^\d+$/, qr/^\d+$/]

=== keys and values of every kind in a loop that compiles
--- http_config
lua_shared_dict d 100k;
--- config
location = /t {
  content_by_lua_block {
    local d = ngx.shared.d
    local long = string.rep("k", 70000)
    for i = 1, 200 do
      assert(d:set("text", "value" .. i) == true)
      assert(d:set("number", i / 2, 0, 7))
      assert(d:set("flag", i % 2 == 0))
      assert(d:set(i, "by number"))
      assert(d:get("text") == "value" .. i)
      local number, flags = d:get("number")
      assert(number == i / 2 and flags == 7)
      assert(d:get("flag") == (i % 2 == 0))
      assert(d:get(tostring(i)) == "by number")
      assert(d:get("none") == nil)
      local value, err = d:get(long)
      assert(value == nil and err == "key too long")
      value, err = d:get("")
      assert(value == nil and err == "empty key")
      value, err = d:get(nil)
      assert(value == nil and err == "nil key")
      value, err = d:incr("text", 1)
      assert(value == nil and err == "not a number")
      assert(d:incr("sum", i, 0) == i * (i + 1) / 2)
      value, err = d:add("text", 1)
      assert(value == false and err == "exists")
      d:delete(i)
      value, err = d:replace(i, 1)
      assert(value == false and err == "not found")
      value, err = d:set("text", {})
      assert(value == nil and err == "bad value type")
    end
    ngx.say("done")
  }
}
--- request
GET /t
--- response_body
done

=== what a dictionary must be given
--- http_config
lua_shared_dict d 100k;
--- config
location = /t {
  content_by_lua_block {
    local d = ngx.shared.d
    ngx.say((select(2, pcall(d.get, "no dictionary", "key"))))
    ngx.say((select(2, pcall(d.get, {}, "key"))))
    ngx.say((select(2, pcall(d.set, {}, "key", 1))))
    ngx.say((select(2, pcall(d.incr, {}, "key", 1))))
    ngx.say((select(2, pcall(d.set, d, "key", 1, -1))))
    d:set("key", "value")
    ngx.say(d.get({ d[1] }, "key"))
  }
}
--- request
GET /t
--- response_body
bad "zone" argument
bad "zone" argument
bad "zone" argument
bad "zone" argument
bad "exptime" argument
value


=== TEST 9: a string that was read before is the one that is there now
--- http_config
    lua_shared_dict d 1m;
    lua_shared_dict other 1m;
--- config
    location /t {
        content_by_lua_block {
            local d, other = ngx.shared.d, ngx.shared.other
            local function both(key) return tostring(d:get(key)) .. tostring(d:get(key)) end
            d:set("k", "one")
            other:set("k", "not it")
            ngx.say(both("k"), " ", other:get("k"))
            d:set("k", "two")
            ngx.say(both("k"))
            d:set("k", "longer than before", 0, 7)
            ngx.say(both("k"), " ", (select(2, d:get("k"))))
            d:replace("k", 42)
            ngx.say(both("k"))
            d:delete("k")
            ngx.say(both("k"))
            d:set("other key", "in its place")
            ngx.say(both("other key"))
            d:flush_all()
            d:flush_expired()
            d:add("k", "anew")
            ngx.say(both("k"), " ", other:get("k"))
            -- More keys than strings are kept for, some of them too long.
            local bad = 0
            for round = 1, 3 do
                for i = 1, 400 do d:set("n" .. i, ("x"):rep(i % 7 * 500) .. i * round) end
                for _ = 1, 2 do
                    for i = 1, 400 do
                        local value = d:get("n" .. i)
                        if value and value ~= ("x"):rep(i % 7 * 500) .. i * round then
                            bad = bad + 1
                        end
                    end
                end
            end
            ngx.say(bad)
        }
    }
--- request
GET /t
--- response_body
oneone not it
twotwo
longer than beforelonger than before 7
4242
nilnil
in its placein its place
anewanew not it
0


=== stale entries, times to live, and what is no dictionary
--- http_config
    lua_shared_dict d 1m;
--- config
    location /t {
        content_by_lua_block {
            local d = ngx.shared.d
            d:set("text", "value", 0.001, 7)
            d:set("number", 3)
            d:set("flag", false)
            while d:get("text") do
                ngx.sleep(0.001)
            end
            ngx.say(d:get_stale("text"))
            ngx.say(d:get_stale("number"))
            ngx.say(d:get_stale("flag"))
            ngx.say(d:get_stale("nothing"))
            ngx.say(d:expire("number", 100), " ", math.ceil(d:ttl("number")))
            ngx.say(d:expire("nothing", 1))
            ngx.say(d:ttl("nothing"))
            d:flush_all()
            ngx.say(d:get("number"))
            ngx.say(pcall(d.set, { ngx.null }, "k", 1))
        }
    }
--- request
GET /t
--- response_body
value7true
3nilfalse
falsenilfalse
nil
true 100
nilnot found
nilnot found
nil
falsebad "zone" argument
