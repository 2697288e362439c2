Wrong arguments to everything there is: Lua errors, never a crash

=== TEST 1: every function with every kind of value in every position
--- http_config
    lua_shared_dict misused 1m;
--- config
    location = /t {
        content_by_lua_block {
            local kinds = { false, 3, "three", {}, function() end, 5LL, ngx.null,
                coroutine.create(function() end) }
            kinds[1] = nil
            -- What ends the request, the thread or the process, or talks to somebody, is left out.
            local spared = {
                exit = true, exec = true, redirect = true, eof = true, print = true, say = true,
                send_headers = true, flush = true, on_abort = true, socket = true, sleep = true,
                signal_graceful_exit = true, enable_privileged_agent = true, spawn = true,
                run_worker_thread = true, wait = true, kill = true, at = true, every = true,
                read_body = true, discard_body = true, init_body = true, append_body = true,
                finish_body = true, capture = true, capture_multi = true, set_uri = true,
                flush_all = true, flush_expired = true, log = true, raw_log = true,
                add_header = true, set_status = true,
            }
            local calls = 0
            local function call(name, f, self)
                for position = 1, 4 do
                    for kind = 1, 8 do
                        for _, fill in ipairs { "x", 1 } do
                            local args = { fill, fill, fill, fill }
                            args[position] = kinds[kind]
                            if self then
                                pcall(f, self, unpack(args, 1, 4))
                                pcall(f, unpack(args, 1, 4))
                            else
                                pcall(f, unpack(args, 1, 4))
                            end
                            calls = calls + 1
                        end
                    end
                end
                pcall(f)
            end
            local seen = {}
            local function all(name, t, self)
                if seen[t] then
                    return
                end
                seen[t] = true
                for key, value in pairs(t) do
                    if type(value) == "function" and not spared[key] then
                        call(name .. "." .. tostring(key), value, self)
                    elseif type(value) == "table" and value ~= ngx.shared then
                        all(name .. "." .. tostring(key), value, nil)
                    end
                end
            end
            all("ngx", ngx)
            all("dict", getmetatable(ngx.shared.misused), ngx.shared.misused)
            all("tcp", getmetatable(ngx.socket.tcp()), ngx.socket.tcp())
            all("udp", getmetatable(ngx.socket.udp()), ngx.socket.udp())
            for _, name in ipairs { "ngx.balancer", "ngx.base64", "ngx.errlog", "ngx.re", "ngx.req",
                "ngx.resp", "ngx.semaphore", "ngx.ssl", "ngx.ssl.session", "ngx.process", "ngx.ocsp",
                "table.new", "cjson", "cjson.safe" } do
                local found, module = pcall(require, name)
                if found and type(module) == "table" then
                    all(name, module)
                elseif found then
                    call(name, module)
                end
            end
            local semaphore = require("ngx.semaphore").new()
            all("semaphore", getmetatable(semaphore), semaphore)
            ngx.log(ngx.WARN, "calls: ", calls)
            ngx.say(calls > 5000 and "alive" or calls)
        }
    }
--- request
GET /t
--- response_body
alive
--- no_error_log
[alert]
[emerg]


=== TEST 2: deep recursion and giant patterns
--- config
    location = /t {
        content_by_lua_block {
            local function deep(n) return deep(n + 1) + 1 end
            ngx.say(pcall(deep, 1))
            local function nested(n) return n == 0 and {} or { nested(n - 1) } end
            ngx.say((pcall(require("cjson").encode, nested(5000))))
            ngx.say((pcall(string.find, string.rep("a", 1e5), string.rep("a?", 1e5) .. "b")))
            ngx.say(ngx.re.match("a", string.rep("(", 1e5)) == nil)
            local ok = pcall(ngx.re.match, string.rep("a", 1e5), "(a|aa|aaa)*b", "jo")
            ngx.say(type(ok))
            ngx.say("alive")
        }
    }
--- request
GET /t
--- response_body_like
^false.*stack overflow
(?s:.*)alive
$
--- no_error_log
[alert]
