=== the leaky bucket of resty.limit.req
--- http_config
lua_shared_dict limits 100k;
--- config
location = /t {
  content_by_lua_block {
    local limit = require "resty.limit.req"
    local lim = limit.new("limits", 10, 1)
    ngx.say(lim:incoming("a"))
    ngx.say(lim:incoming("k", true))
    local delay, excess = lim:incoming("k", true)
    ngx.say(delay > 0.09 and delay <= 0.1, " ", excess > 0.9 and excess <= 1)
    ngx.say(lim:incoming("k", true))
    ngx.say(lim:uncommit("k"))
    ngx.say(lim:incoming("k", true) ~= nil)
    ngx.say(lim:uncommit("none"))
    ngx.shared.limits:set("odd", "text")
    ngx.say(lim:incoming("odd", true))
    ngx.say(limit.new("none", 1, 1))
  }
}
--- request
GET /t
--- response_body
00
00
true true
nilrejected
true
true
nilnot found
nilshdict abused by other users
nilshared dict not found

=== limits of connections and counts, and all at once
--- http_config
lua_shared_dict conns 100k;
lua_shared_dict counts 100k;
--- config
location = /t {
  content_by_lua_block {
    local conn = require("resty.limit.conn").new("conns", 1, 1, 0.5)
    for _ = 1, 3 do
      ngx.say(conn:incoming("k", true))
      ngx.say(conn:is_committed())
    end
    ngx.say(conn:leaving("k", 1.5), " ", conn:incoming("k"))
    ngx.say(conn:uncommit("k"))

    local count = require("resty.limit.count").new("counts", 2, 10)
    ngx.say(count:incoming("k"), " ", count:incoming("k", true))
    ngx.say(count:incoming("k", true))
    ngx.say(count:incoming("k", true))
    ngx.say(count:uncommit("k"), " ", count:uncommit("other"))

    local combine = require("resty.limit.traffic").combine
    local states = {}
    count = require("resty.limit.count").new("counts", 1, 10)
    ngx.say(combine({ conn, count }, { "c", "d" }, states))
    ngx.say(table.concat(states, " "))
    ngx.say(combine({ conn, count }, { "c", "d" }, states))
    ngx.say(conn:leaving("c"))
  }
}
--- request
GET /t
--- response_body
01
true
0.52
true
nilrejected
false
1 12
0
0 01
00
nilrejected
0 2
0
1 0
nilrejected
0

=== parts of a form
--- config
location = /t {
  content_by_lua_block {
    local form = require("resty.upload"):new(5)
    form:set_timeout(60000)
    repeat
      local kind, value, err = form:read()
      ngx.say(kind, " ", type(value) == "table" and table.concat(value, "|") or value, " ", err)
    until not kind or kind == "eof"
  }
}
--- more_headers
Content-Type: multipart/form-data; boundary="xyz"
--- request eval
"POST /t\n" . "--xyz\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nHello, you\r\n"
. "--xyz\r\nX-Empty: 1\r\nodd\r\n\r\n\r\n--xyz--\r\n"
--- response_body
header Content-Disposition|form-data; name="f"|Content-Disposition: form-data; name="f" nil
body Hello nil
body , you nil
body  nil
part_end nil nil
header X-Empty|1|X-Empty: 1 nil
header odd nil
body  nil
part_end nil nil
eof nil nil

=== a form needs a boundary
--- config
location = /t {
  content_by_lua_block {
    ngx.say(require("resty.upload"):new())
  }
}
--- request
GET /t
--- response_body
nilno boundary defined in Content-Type

=== commands of the shell
--- config
location = /t {
  content_by_lua_block {
    local run = require("resty.shell").run
    ngx.say(run("echo out; echo err >&2; exit 3"))
    ngx.say(run({ "cat" }, "fed"))
    ngx.say(run("echo too much", nil, 60000, 3))
    ngx.say(run("sleep 10", nil, 20))
    ngx.say(run("kill -9 $$"))
  }
}
--- request
GET /t
--- response_body
falseout
err
exit3
truefedexit0
niltoo failed to read stdout: too much data
nilfailed to wait for process: timeout
falsesignal9

=== signals by name
--- config
location = /t {
  content_by_lua_block {
    local signal = require "resty.signal"
    ngx.say(signal.signum("TERM"), " ", signal.signum("NONE"), " ", (signal.signum("FOO")))
    ngx.say(signal.kill(ngx.worker.pid(), "NONE"))
    ngx.say(signal.kill(ngx.worker.pid(), 0))
    ngx.say(signal.kill(2147483647, "HUP"))
    ngx.say(signal.kill(1, "FOO"))
  }
}
--- request
GET /t
--- response_body
15 0 nil
true
true
nilNo such process
nilunknown signal name

=== addresses of the DNS resolver
--- config
location = /t {
  content_by_lua_block {
    local r = require "resty.dns.resolver"
    ngx.say(r.compress_ipv6_addr("FF01:0:0:0:0:0:0:101"), " ", r.compress_ipv6_addr("0:0:0:0:0:0:0:0"))
    ngx.say(r.expand_ipv6_addr("FF01::101"), " ", r.expand_ipv6_addr("::1"))
    ngx.say(r.arpa_str("1.2.3.4"), " ", r.arpa_str("FF01::101"))
    ngx.say(r.TYPE_A, r.TYPE_NS, r.TYPE_CNAME, r.TYPE_SOA, r.TYPE_PTR, r.TYPE_MX, r.TYPE_TXT,
      r.TYPE_AAAA, r.TYPE_SRV, r.TYPE_SPF, r.CLASS_IN, r.SECTION_AN, r.SECTION_NS, r.SECTION_AR)
    ngx.say(r:new())
    ngx.say(r:new {})
  }
}
--- request
GET /t
--- response_body
FF01::101 ::
FF01:0:0:0:0:0:0:101 0:0:0:0:0:0:0:1
4.3.2.1.in-addr.arpa 1.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.F.F.ip6.arpa
12561215162833991123
nilno options table specified
nilno nameservers specified

=== answers of DNS servers
--- config
location = /t {
  content_by_lua_block {
    local wire = require "resty.dns.wire"
    local head = "\0\7\129\128\0\1\0\2\0\0\0\0" .. "\1a\2de\0\0\1\0\1"
    local reply = head
      .. "\192\12\0\5\0\1\0\0\0\60\0\4\1b\192\14"
      .. "\192\34\0\1\0\1\0\1\0\0\0\4\127\0\0\1"
    for _, answer in ipairs(wire.parse(reply, 7)) do
      ngx.say(answer.name, " ", answer.type, " ", answer.ttl, " ", answer.cname or answer.address)
    end
    ngx.say(wire.parse(reply, 8))
    ngx.say(wire.parse(string.sub(reply, 1, 40), 7))
    ngx.say(wire.parse("\0\7\1\0" .. string.sub(reply, 5), 7))
    local failed = wire.parse("\0\7\129\131\0\1\0\0\0\0\0\0" .. "\1a\2de\0\0\1\0\1", 7)
    ngx.say(#failed, " ", failed.errcode, " ", failed.errstr)
    -- A name that points at itself.
    ngx.say(wire.parse(head .. "\192\24" .. "\192\24\0\1\0\1\0\0\0\1\0\4\1\2\3\4", 7))
    ngx.say((string.gsub(wire.question("a.de", 7), "[%z\1-\31]", function(c)
      return "<" .. string.byte(c) .. ">"
    end)))
  }
}
--- request
GET /t
--- response_body
a.de 5 60 b.de
b.de 1 65536 127.0.0.1
nilid mismatch
niltruncated
nilbad QR flag in the DNS response
0 3 name error
niltruncated
<0><7><1><0><0><1><0><0><0><0><0><0><1>a<2>de<0><0><1><0><1>

=== random bytes and AES
--- config
location = /t {
  content_by_lua_block {
    local random = require "resty.random"
    ngx.say(#random.bytes(300, true), " ", random.bytes(16) ~= random.bytes(16))
    local aes = require "resty.aes"
    local box = aes:new("secret", "saltsalt", aes.cipher(256, "cbc"), aes.hash.sha512, 5)
    ngx.say(box:decrypt(box:encrypt("text")))
    box = aes:new("k", nil, aes.cipher(256, "gcm"), aes.hash.sha256, 1, 12)
    local sealed = box:encrypt("text", "more")
    ngx.say(box:decrypt(sealed[1], sealed[2], "more"))
    ngx.say(box:decrypt(sealed[1], sealed[2], "else"))
    ngx.say(aes:new("k", "salt"))
    ngx.say(aes:new("k", nil, aes.cipher(128), { iv = "short" }))
    ngx.say(aes.cipher(128, "none"))
  }
}
--- request
GET /t
--- response_body
300 true
text
text
nilEVP_DecryptFinal_ex failed
nilsalt must be 8 characters or nil
nilbad iv length
nil
