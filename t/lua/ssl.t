ngx.ssl, ngx.ssl.clienthello, ngx.ssl.session and the scripts of TLS handshakes

=== TEST 1: a script hands over another certificate
--- http_config
    lua_shared_dict sessions 1m;
    server {
        listen unix:$TEST_NGINX_HTML_DIR/tls.sock ssl;
        server_name one.test;
        ssl_certificate $TEST_NGINX_CERT_DIR/one.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/one.key;
        ssl_session_tickets off;
        ssl_certificate_by_lua_block {
            local ssl = require "ngx.ssl"
            local function text(name)
                local f = assert(io.open("$TEST_NGINX_CERT_DIR/" .. name))
                local all = f:read("*a")
                f:close()
                return all
            end
            assert(ssl.clear_certs())
            local cert = assert(ssl.parse_pem_cert(text("two.crt")))
            local key = assert(ssl.parse_pem_priv_key(text("two.key")))
            ngx.sleep(0.001)
            assert(ssl.set_cert(cert))
            assert(ssl.set_priv_key(key))
            ngx.ctx.sni = ssl.server_name() .. " " .. ssl.get_tls1_version_str()
        }
        location / { content_by_lua_block { ngx.say("served ", ngx.ctx.sni) } }
    }
--- config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/two.crt;
    lua_ssl_protocols TLSv1.2;
    location /t {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            s:connect("unix:$TEST_NGINX_HTML_DIR/tls.sock")
            local ok, err = s:sslhandshake(nil, "two.test", true)
            if not ok then
                return ngx.say(err)
            end
            s:send("GET / HTTP/1.0\r\nHost: two.test\r\n\r\n")
            ngx.print(s:receive("*a"):match("\r\n\r\n(.*)"))
        }
    }
--- request
GET /t
--- response_body
served two.test TLSv1.2


=== TEST 2: DER forms, and what is wrong
--- http_config
    lua_shared_dict sessions 1m;
    server {
        listen unix:$TEST_NGINX_HTML_DIR/tls.sock ssl;
        server_name one.test;
        ssl_certificate $TEST_NGINX_CERT_DIR/one.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/one.key;
        ssl_session_tickets off;
        ssl_certificate_by_lua_block {
            local ssl = require "ngx.ssl"
            local f = assert(io.open("$TEST_NGINX_CERT_DIR/two.crt"))
            local cert = assert(ssl.cert_pem_to_der(f:read("*a")))
            f:close()
            f = assert(io.open("$TEST_NGINX_CERT_DIR/two.key"))
            local key = assert(ssl.priv_key_pem_to_der(f:read("*a")))
            f:close()
            assert(ssl.clear_certs())
            assert(ssl.set_der_cert(cert))
            assert(ssl.set_der_priv_key(key))
            ngx.log(ngx.WARN, "pem: ", select(2, ssl.parse_pem_cert("nonsense")))
            ngx.log(ngx.WARN, "key: ", select(2, ssl.parse_pem_priv_key("nonsense")))
            ngx.log(ngx.WARN, "addr: ", select(2, ssl.raw_client_addr()))
        }
        location / { return 200 "der\n"; }
    }
--- config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/two.crt;
    lua_ssl_protocols TLSv1.2;
    location /t {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            s:connect("unix:$TEST_NGINX_HTML_DIR/tls.sock")
            local ok, err = s:sslhandshake(nil, "two.test", true)
            if not ok then
                return ngx.say(err)
            end
            s:send("GET / HTTP/1.0\r\nHost: two.test\r\n\r\n")
            ngx.print(s:receive("*a"):match("\r\n\r\n(.*)"))
        }
    }
--- request
GET /t
--- response_body
der
--- error_log
pem: PEM_read_bio_X509_AUX() failed
key: PEM_read_bio_PrivateKey() failed
addr: unix


=== TEST 3: a script that says no ends the handshake
--- http_config
    lua_shared_dict sessions 1m;
    server {
        listen unix:$TEST_NGINX_HTML_DIR/tls.sock ssl;
        server_name one.test;
        ssl_certificate $TEST_NGINX_CERT_DIR/one.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/one.key;
        ssl_session_tickets off;
        ssl_certificate_by_lua_block {
            ngx.exit(ngx.ERROR)
        }
        location / { return 200 "never\n"; }
    }
--- config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/one.crt;
    lua_ssl_protocols TLSv1.2;
    location /t {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            s:connect("unix:$TEST_NGINX_HTML_DIR/tls.sock")
            local ok, err = s:sslhandshake(nil, "one.test", true)
            if not ok then
                return ngx.say(err)
            end
            s:send("GET / HTTP/1.0\r\nHost: one.test\r\n\r\n")
            ngx.print(s:receive("*a"):match("\r\n\r\n(.*)"))
        }
    }
--- request
GET /t
--- response_body
handshake failed


=== TEST 4: so does one that fails
--- http_config
    lua_shared_dict sessions 1m;
    server {
        listen unix:$TEST_NGINX_HTML_DIR/tls.sock ssl;
        server_name one.test;
        ssl_certificate $TEST_NGINX_CERT_DIR/one.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/one.key;
        ssl_session_tickets off;
        ssl_certificate_by_lua_block {
            error("no luck")
        }
        location / { return 200 "never\n"; }
    }
--- config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/one.crt;
    lua_ssl_protocols TLSv1.2;
    location /t {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            s:connect("unix:$TEST_NGINX_HTML_DIR/tls.sock")
            local ok, err = s:sslhandshake(nil, "one.test", true)
            if not ok then
                return ngx.say(err)
            end
            s:send("GET / HTTP/1.0\r\nHost: one.test\r\n\r\n")
            ngx.print(s:receive("*a"):match("\r\n\r\n(.*)"))
        }
    }
--- request
GET /t
--- response_body
handshake failed
--- error_log
no luck
context: ssl_certificate_by_lua*


=== TEST 5: the client hello, before anything is decided
--- http_config
    lua_shared_dict sessions 1m;
    server {
        listen unix:$TEST_NGINX_HTML_DIR/tls.sock ssl;
        server_name one.test;
        ssl_certificate $TEST_NGINX_CERT_DIR/one.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/one.key;
        ssl_session_tickets off;
        ssl_client_hello_by_lua_block {
            local hello = require "ngx.ssl.clienthello"
            ngx.log(ngx.WARN, "name: ", hello.get_client_hello_server_name())
            ngx.log(ngx.WARN, "raw: ", #hello.get_client_hello_ext(0))
            ngx.log(ngx.WARN, "none: ", hello.get_client_hello_ext(4711))
            assert(hello.set_protocols { "TLSv1.2" })
        }
        location / { return 200 "$ssl_protocol\n"; }
    }
--- config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/one.crt;
    lua_ssl_protocols TLSv1.2;
    location /t {
        content_by_lua_block {
            local s = ngx.socket.tcp()
            s:connect("unix:$TEST_NGINX_HTML_DIR/tls.sock")
            local ok, err = s:sslhandshake(nil, "one.test", true)
            if not ok then
                return ngx.say(err)
            end
            s:send("GET / HTTP/1.0\r\nHost: one.test\r\n\r\n")
            ngx.print(s:receive("*a"):match("\r\n\r\n(.*)"))
        }
    }
--- request
GET /t
--- response_body
TLSv1.2
--- error_log
name: one.test
raw: 13
none: nil


=== TEST 6: sessions kept by scripts
--- http_config
    lua_shared_dict sessions 1m;
    ssl_session_store_by_lua_block {
        local session = require "ngx.ssl.session"
        ngx.shared.sessions:set(session.get_session_id(), session.get_serialized_session())
    }
    ssl_session_fetch_by_lua_block {
        local session = require "ngx.ssl.session"
        local kept = ngx.shared.sessions:get(session.get_session_id())
        if kept then
            session.set_serialized_session(kept)
        end
    }
    server {
        listen unix:$TEST_NGINX_HTML_DIR/tls.sock ssl;
        server_name one.test;
        ssl_certificate $TEST_NGINX_CERT_DIR/one.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/one.key;
        ssl_session_tickets off;
        location / { return 200 "reused: $ssl_session_reused\n"; }
    }
--- config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/one.crt;
    lua_ssl_protocols TLSv1.2;
    location /t {
        content_by_lua_block {
            local session
            for _ = 1, 2 do
                local s = ngx.socket.tcp()
                s:connect("unix:$TEST_NGINX_HTML_DIR/tls.sock")
                session = assert(s:sslhandshake(session, "one.test", true))
                s:send("GET / HTTP/1.0\r\nHost: one.test\r\n\r\n")
                ngx.print(s:receive("*a"):match("\r\n\r\n(.*)"))
                s:close()
            end
            ngx.say(type(session))
        }
    }
--- request
GET /t
--- response_body
reused: .
reused: r
cdata


=== TEST 7: an upstream's wish for a certificate, and its own
--- http_config
    server {
        listen unix:$TEST_NGINX_HTML_DIR/tls.sock ssl;
        server_name one.test;
        ssl_certificate $TEST_NGINX_CERT_DIR/one.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/one.key;
        ssl_verify_client optional_no_ca;
        location / { return 200 "$ssl_client_s_dn\n"; }
    }
--- config
    location /t {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/tls.sock;
        proxy_ssl_verify on;
        proxy_ssl_name other.test;
        proxy_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/two.crt;
        lua_upstream_skip_openssl_default_verify on;
        proxy_ssl_certificate_by_lua_block {
            local ssl = require "ngx.ssl"
            local mine = require "ngx.ssl.proxysslcert"
            local function text(name)
                local f = assert(io.open("$TEST_NGINX_CERT_DIR/" .. name))
                local all = f:read("*a")
                f:close()
                return all
            end
            ngx.sleep(0.001)
            assert(mine.set_cert(assert(ssl.parse_pem_cert(text("two.crt")))))
            assert(mine.set_priv_key(assert(ssl.parse_pem_priv_key(text("two.key")))))
            ngx.log(ngx.WARN, "phase: ", ngx.get_phase())
        }
        proxy_ssl_verify_by_lua_block {
            local verify = require "ngx.ssl.proxysslverify"
            ngx.log(ngx.WARN, "so far: ", verify.get_verify_result())
            verify.set_verify_result(ngx.var.arg_code)
        }
    }
--- request
GET /t?code=20
--- error_code: 502
--- error_log
phase: proxy_ssl_cert
so far: 0
upstream SSL certificate verify error: (20:unable to get local issuer certificate)


=== TEST 8: a script may take what is not known
--- http_config
    server {
        listen unix:$TEST_NGINX_HTML_DIR/tls.sock ssl;
        server_name one.test;
        ssl_certificate $TEST_NGINX_CERT_DIR/one.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/one.key;
        ssl_verify_client optional_no_ca;
        location / { return 200 "$ssl_client_s_dn\n"; }
    }
--- config
    location /t {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/tls.sock;
        proxy_ssl_verify on;
        proxy_ssl_name one.test;
        proxy_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/two.crt;
        lua_upstream_skip_openssl_default_verify on;
        proxy_ssl_certificate_by_lua_block {
            local ssl = require "ngx.ssl"
            local mine = require "ngx.ssl.proxysslcert"
            local function text(name)
                local f = assert(io.open("$TEST_NGINX_CERT_DIR/" .. name))
                local all = f:read("*a")
                f:close()
                return all
            end
            ngx.sleep(0.001)
            assert(mine.set_cert(assert(ssl.parse_pem_cert(text("two.crt")))))
            assert(mine.set_priv_key(assert(ssl.parse_pem_priv_key(text("two.key")))))
            ngx.log(ngx.WARN, "phase: ", ngx.get_phase())
        }
        proxy_ssl_verify_by_lua_block {
            local verify = require "ngx.ssl.proxysslverify"
            ngx.log(ngx.WARN, "so far: ", verify.get_verify_result())
            verify.set_verify_result(ngx.var.arg_code)
        }
    }
--- request
GET /t?code=0
--- response_body
CN=two.test


=== TEST 9: a cosocket that shows a certificate
--- http_config
    server {
        listen unix:$TEST_NGINX_HTML_DIR/tls.sock ssl;
        ssl_certificate $TEST_NGINX_CERT_DIR/one.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/one.key;
        ssl_verify_client on;
        ssl_client_certificate $TEST_NGINX_CERT_DIR/two.crt;
        location / { return 200 "$ssl_client_s_dn $ssl_client_verify\n"; }
    }
--- config
    lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/one.crt;
    lua_ssl_protocols TLSv1.2;
    location /t {
        content_by_lua_block {
            local ssl = require "ngx.ssl"
            local function text(name)
                local f = assert(io.open("$TEST_NGINX_CERT_DIR/" .. name))
                local all = f:read("*a")
                f:close()
                return all
            end
            local s = ngx.socket.tcp()
            s:connect("unix:$TEST_NGINX_HTML_DIR/tls.sock")
            ngx.say(s:setclientcert("a", nil))
            ngx.say(s:setclientcert("a", "b"))
            local cert = assert(ssl.parse_pem_cert(text("two.crt")))
            local key = assert(ssl.parse_pem_priv_key(text("two.key")))
            ngx.say(s:setclientcert(cert, key))
            ngx.say(s:sslhandshake(false, "one.test", true))
            s:send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
            ngx.print(s:receive("*a"):match("\r\n\r\n(.*)"))
        }
    }
--- request
GET /t
--- response_body
nilclient certificate must be supplied with corresponding private key
nilbad cert arg: cdata expected, got string
true
true
CN=two.test SUCCESS


=== a client certificate out of PEM text is shown to the server; timers keep the settings of where they were made
--- http_config
    lua_shared_dict d 1m;
    server {
        listen $TEST_NGINX_RAND_PORT_1 ssl;
        server_name backend.test;
        ssl_certificate $TEST_NGINX_CERT_DIR/three.crt;
        ssl_certificate_key $TEST_NGINX_CERT_DIR/three.key;
        ssl_verify_client optional_no_ca;
        location / { return 200 "client: $ssl_client_s_dn"; }
    }
--- config
    location = /t {
        lua_ssl_trusted_certificate $TEST_NGINX_CERT_DIR/three.crt;
        content_by_lua_block {
            local ssl = require "ngx.ssl"
            local function read(name)
                local f = assert(io.open("$TEST_NGINX_CERT_DIR/" .. name))
                local text = f:read("*a")
                f:close()
                return text
            end
            local cert = assert(ssl.parse_pem_cert(read("three.crt")))
            local key = assert(ssl.parse_pem_priv_key(read("three.key")))
            ngx.say(type(cert), " ", type(key))
            local function ask(shown, name)
                local sock = ngx.socket.tcp()
                assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
                if shown then
                    assert(sock:setclientcert(cert, key))
                end
                local ok, err = sock:sslhandshake(false, name, true)
                if not ok then
                    return err
                end
                sock:send("GET / HTTP/1.0\r\nHost: backend.test\r\n\r\n")
                local all = sock:receive("*a")
                sock:close()
                return all:match("client: .*")
            end
            ngx.say(ask(true, "backend.test"))
            ngx.say(ask(false, "backend.test"))
            ngx.timer.at(0, function() ngx.shared.d:set("timer", ask(true, "backend.test")) end)
            for _ = 1, 6000 do if ngx.shared.d:get("timer") then break end ngx.sleep(0.01) end
            ngx.say(ngx.shared.d:get("timer"))
            local sock = ngx.socket.tcp()
            ngx.say(sock:setclientcert(cert))
            ngx.say(sock:setclientcert(cert, "text"))
            ngx.say(sock:setclientcert())
            ngx.say(ssl.parse_pem_cert("nothing"))
        }
    }
--- request
GET /t
--- response_body
cdata cdata
client: CN=backend.test
client: 
client: CN=backend.test
nilclient certificate must be supplied with corresponding private key
nilbad pkey arg: cdata expected, got string
true
nilPEM_read_bio_X509_AUX() failed


=== certificates and keys are objects of OpenSSL for libraries that call it
--- config
    location /t {
        content_by_lua_block {
            local ssl = require "ngx.ssl"
            local ffi = require "ffi"
            ffi.cdef [[
              int OPENSSL_sk_num(void *list);
              void *OPENSSL_sk_value(void *list, int at);
              int X509_check_private_key(void *certificate, void *key);
            ]]
            local function text(name)
                local f = assert(io.open("$TEST_NGINX_CERT_DIR/" .. name))
                local all = f:read("*a")
                f:close()
                return all
            end
            for _ = 1, 2 do
                local certs = assert(ssl.parse_pem_cert(text("one.crt") .. text("two.crt")))
                local key = assert(ssl.parse_der_priv_key(ssl.priv_key_pem_to_der(text("one.key"))))
                ngx.say(ffi.C.OPENSSL_sk_num(certs), " ",
                    ffi.C.X509_check_private_key(ffi.C.OPENSSL_sk_value(certs, 0), key))
                certs, key = nil, nil
                collectgarbage()
            end
        }
    }
--- request
GET /t
--- response_body
2 1
2 1
