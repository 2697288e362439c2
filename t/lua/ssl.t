=== a client certificate out of PEM text is shown to the server; timers keep the settings of where they were made
--- http_config
    lua_shared_dict d 1m;
    server {
        listen $TEST_NGINX_RAND_PORT_1 ssl;
        server_name backend.test;
        ssl_certificate $TEST_NGINX_HTML_DIR/cert.pem;
        ssl_certificate_key $TEST_NGINX_HTML_DIR/key.pem;
        ssl_verify_client optional_no_ca;
        location / { return 200 "client: $ssl_client_s_dn"; }
    }
--- config
    location = /t {
        lua_ssl_trusted_certificate $TEST_NGINX_HTML_DIR/cert.pem;
        content_by_lua_block {
            local ssl = require "ngx.ssl"
            local function read(name)
                local f = assert(io.open("$TEST_NGINX_HTML_DIR/" .. name))
                local text = f:read("*a")
                f:close()
                return text
            end
            local cert = assert(ssl.parse_pem_cert(read("cert.pem")))
            local key = assert(ssl.parse_pem_priv_key(read("key.pem")))
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
            ngx.sleep(0.2)
            ngx.say(ngx.shared.d:get("timer"))
            local sock = ngx.socket.tcp()
            ngx.say(sock:setclientcert(cert))
            ngx.say(sock:setclientcert(cert, "text"))
            ngx.say(sock:setclientcert())
            ngx.say(ssl.parse_pem_cert("nothing"))
        }
    }
--- user_files
>>> cert.pem
-----BEGIN CERTIFICATE-----
MIIBnjCCAUSgAwIBAgIURFwvKZX2RW28PW9dFQf3bjc48PUwCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMYmFja2VuZC50ZXN0MCAXDTI2MTEyMTEyMDgwNFoYDzIxMjYx
MDI4MTIwODA0WjAXMRUwEwYDVQQDDAxiYWNrZW5kLnRlc3QwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAATUwHR5J48Gku0M/9fdy4JmfmuiYiVBhQhAQog8kO17KSfo
ntSa0e0iM7UkRJ3Z61JBNW55pbzwKWbug6gjoKKFo2wwajAdBgNVHQ4EFgQUeKVK
2CjrIORoUn8vX9mKWjmTa6kwHwYDVR0jBBgwFoAUeKVK2CjrIORoUn8vX9mKWjmT
a6kwDwYDVR0TAQH/BAUwAwEB/zAXBgNVHREEEDAOggxiYWNrZW5kLnRlc3QwCgYI
KoZIzj0EAwIDSAAwRQIhANE2SrwRfK1zJeJETqZGejjNRuANH5vcuiS5FNt/9ooz
AiApPLuqdGSdaRCZlGWJpXpUX3r0nqga/gLZkh8hFxtt0w==
-----END CERTIFICATE-----
>>> key.pem
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgx3LcMca58HqwfFQP
UggMZuOaYaQe9owD6nyMLYbfJjmhRANCAATUwHR5J48Gku0M/9fdy4JmfmuiYiVB
hQhAQog8kO17KSfontSa0e0iM7UkRJ3Z61JBNW55pbzwKWbug6gjoKKF
-----END PRIVATE KEY-----
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
