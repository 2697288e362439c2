ngx.ssl, ngx.ssl.clienthello, ngx.ssl.session and the scripts of TLS handshakes

=== TEST 1: a script hands over another certificate
--- http_config
    lua_shared_dict sessions 1m;
    server {
        listen unix:$TEST_NGINX_HTML_DIR/tls.sock ssl;
        server_name one.test;
        ssl_certificate ../html/one.crt;
        ssl_certificate_key ../html/one.key;
        ssl_session_tickets off;
        ssl_certificate_by_lua_block {
            local ssl = require "ngx.ssl"
            local function text(name)
                local f = assert(io.open("$TEST_NGINX_HTML_DIR/" .. name))
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
--- user_files
>>> one.crt
-----BEGIN CERTIFICATE-----
MIIBXjCCAQWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIb25lLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
CG9uZS50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMgUcr7tMWTkaIMJa
kb3hXoYJYEymgAG9R2rinWclLp6Y2j8D8YwDWrHsD9wX6nBFx2Vblik+hMmOV4SL
M/DWQqNHMEUwEwYDVR0RBAwwCoIIb25lLnRlc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQUQKUpp1qtTSl/iZcp5KBlGSbzwE8wCgYIKoZIzj0EAwIDRwAwRAIg
ciFYV1la39mjtUd017Y8siZl3J8upexBpczROMpsTy4CIEHFj5MohVDCR+erkMlD
3QyQfe/WN6z8LmSJtdwiuUtk
-----END CERTIFICATE-----
>>> one.key
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDsEwg5cMrqGke2pE
+ExbTMWQ9Gf/VIL8uXr0K9sIB9mhRANCAAQyBRyvu0xZORogwlqRveFehglgTKaA
Ab1HauKdZyUunpjaPwPxjANasewP3BfqcEXHZVuWKT6EyY5XhIsz8NZC
-----END PRIVATE KEY-----
>>> two.crt
-----BEGIN CERTIFICATE-----
MIIBYDCCAQWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIdHdvLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
CHR3by50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEP9rNOhjJU9w9xLQB
u2Wiwuddx/WytXuLnDjiC4J3r8EJwDlJ0LsOmeIS835qZtkCV/piEpQY1N+wsdsJ
NoukS6NHMEUwEwYDVR0RBAwwCoIIdHdvLnRlc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQU/KOAgnV4i7/19jN2ZalWNa18nuUwCgYIKoZIzj0EAwIDSQAwRgIh
AJo5nxLV34TfpcBhXRvPXMETkQom1gmqVkgLIL9lCpzKAiEAigiFGUT0rlD8F/+X
n+5+1ODB/2eKFdtuzLb+S7oYidA=
-----END CERTIFICATE-----
>>> two.key
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgno5tfO1iEMKMJU4z
Kc4WQUpZ4aBzvvtiv0vcswVV8qyhRANCAAQ/2s06GMlT3D3EtAG7ZaLC513H9bK1
e4ucOOILgnevwQnAOUnQuw6Z4hLzfmpm2QJX+mISlBjU37Cx2wk2i6RL
-----END PRIVATE KEY-----
--- config
    lua_ssl_trusted_certificate ../html/two.crt;
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
        ssl_certificate ../html/one.crt;
        ssl_certificate_key ../html/one.key;
        ssl_session_tickets off;
        ssl_certificate_by_lua_block {
            local ssl = require "ngx.ssl"
            local f = assert(io.open("$TEST_NGINX_HTML_DIR/two.crt"))
            local cert = assert(ssl.cert_pem_to_der(f:read("*a")))
            f:close()
            f = assert(io.open("$TEST_NGINX_HTML_DIR/two.key"))
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
--- user_files
>>> one.crt
-----BEGIN CERTIFICATE-----
MIIBXjCCAQWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIb25lLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
CG9uZS50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMgUcr7tMWTkaIMJa
kb3hXoYJYEymgAG9R2rinWclLp6Y2j8D8YwDWrHsD9wX6nBFx2Vblik+hMmOV4SL
M/DWQqNHMEUwEwYDVR0RBAwwCoIIb25lLnRlc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQUQKUpp1qtTSl/iZcp5KBlGSbzwE8wCgYIKoZIzj0EAwIDRwAwRAIg
ciFYV1la39mjtUd017Y8siZl3J8upexBpczROMpsTy4CIEHFj5MohVDCR+erkMlD
3QyQfe/WN6z8LmSJtdwiuUtk
-----END CERTIFICATE-----
>>> one.key
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDsEwg5cMrqGke2pE
+ExbTMWQ9Gf/VIL8uXr0K9sIB9mhRANCAAQyBRyvu0xZORogwlqRveFehglgTKaA
Ab1HauKdZyUunpjaPwPxjANasewP3BfqcEXHZVuWKT6EyY5XhIsz8NZC
-----END PRIVATE KEY-----
>>> two.crt
-----BEGIN CERTIFICATE-----
MIIBYDCCAQWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIdHdvLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
CHR3by50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEP9rNOhjJU9w9xLQB
u2Wiwuddx/WytXuLnDjiC4J3r8EJwDlJ0LsOmeIS835qZtkCV/piEpQY1N+wsdsJ
NoukS6NHMEUwEwYDVR0RBAwwCoIIdHdvLnRlc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQU/KOAgnV4i7/19jN2ZalWNa18nuUwCgYIKoZIzj0EAwIDSQAwRgIh
AJo5nxLV34TfpcBhXRvPXMETkQom1gmqVkgLIL9lCpzKAiEAigiFGUT0rlD8F/+X
n+5+1ODB/2eKFdtuzLb+S7oYidA=
-----END CERTIFICATE-----
>>> two.key
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgno5tfO1iEMKMJU4z
Kc4WQUpZ4aBzvvtiv0vcswVV8qyhRANCAAQ/2s06GMlT3D3EtAG7ZaLC513H9bK1
e4ucOOILgnevwQnAOUnQuw6Z4hLzfmpm2QJX+mISlBjU37Cx2wk2i6RL
-----END PRIVATE KEY-----
--- config
    lua_ssl_trusted_certificate ../html/two.crt;
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
        ssl_certificate ../html/one.crt;
        ssl_certificate_key ../html/one.key;
        ssl_session_tickets off;
        ssl_certificate_by_lua_block {
            ngx.exit(ngx.ERROR)
        }
        location / { return 200 "never\n"; }
    }
--- user_files
>>> one.crt
-----BEGIN CERTIFICATE-----
MIIBXjCCAQWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIb25lLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
CG9uZS50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMgUcr7tMWTkaIMJa
kb3hXoYJYEymgAG9R2rinWclLp6Y2j8D8YwDWrHsD9wX6nBFx2Vblik+hMmOV4SL
M/DWQqNHMEUwEwYDVR0RBAwwCoIIb25lLnRlc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQUQKUpp1qtTSl/iZcp5KBlGSbzwE8wCgYIKoZIzj0EAwIDRwAwRAIg
ciFYV1la39mjtUd017Y8siZl3J8upexBpczROMpsTy4CIEHFj5MohVDCR+erkMlD
3QyQfe/WN6z8LmSJtdwiuUtk
-----END CERTIFICATE-----
>>> one.key
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDsEwg5cMrqGke2pE
+ExbTMWQ9Gf/VIL8uXr0K9sIB9mhRANCAAQyBRyvu0xZORogwlqRveFehglgTKaA
Ab1HauKdZyUunpjaPwPxjANasewP3BfqcEXHZVuWKT6EyY5XhIsz8NZC
-----END PRIVATE KEY-----
>>> two.crt
-----BEGIN CERTIFICATE-----
MIIBYDCCAQWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIdHdvLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
CHR3by50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEP9rNOhjJU9w9xLQB
u2Wiwuddx/WytXuLnDjiC4J3r8EJwDlJ0LsOmeIS835qZtkCV/piEpQY1N+wsdsJ
NoukS6NHMEUwEwYDVR0RBAwwCoIIdHdvLnRlc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQU/KOAgnV4i7/19jN2ZalWNa18nuUwCgYIKoZIzj0EAwIDSQAwRgIh
AJo5nxLV34TfpcBhXRvPXMETkQom1gmqVkgLIL9lCpzKAiEAigiFGUT0rlD8F/+X
n+5+1ODB/2eKFdtuzLb+S7oYidA=
-----END CERTIFICATE-----
>>> two.key
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgno5tfO1iEMKMJU4z
Kc4WQUpZ4aBzvvtiv0vcswVV8qyhRANCAAQ/2s06GMlT3D3EtAG7ZaLC513H9bK1
e4ucOOILgnevwQnAOUnQuw6Z4hLzfmpm2QJX+mISlBjU37Cx2wk2i6RL
-----END PRIVATE KEY-----
--- config
    lua_ssl_trusted_certificate ../html/one.crt;
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
        ssl_certificate ../html/one.crt;
        ssl_certificate_key ../html/one.key;
        ssl_session_tickets off;
        ssl_certificate_by_lua_block {
            error("no luck")
        }
        location / { return 200 "never\n"; }
    }
--- user_files
>>> one.crt
-----BEGIN CERTIFICATE-----
MIIBXjCCAQWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIb25lLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
CG9uZS50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMgUcr7tMWTkaIMJa
kb3hXoYJYEymgAG9R2rinWclLp6Y2j8D8YwDWrHsD9wX6nBFx2Vblik+hMmOV4SL
M/DWQqNHMEUwEwYDVR0RBAwwCoIIb25lLnRlc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQUQKUpp1qtTSl/iZcp5KBlGSbzwE8wCgYIKoZIzj0EAwIDRwAwRAIg
ciFYV1la39mjtUd017Y8siZl3J8upexBpczROMpsTy4CIEHFj5MohVDCR+erkMlD
3QyQfe/WN6z8LmSJtdwiuUtk
-----END CERTIFICATE-----
>>> one.key
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDsEwg5cMrqGke2pE
+ExbTMWQ9Gf/VIL8uXr0K9sIB9mhRANCAAQyBRyvu0xZORogwlqRveFehglgTKaA
Ab1HauKdZyUunpjaPwPxjANasewP3BfqcEXHZVuWKT6EyY5XhIsz8NZC
-----END PRIVATE KEY-----
>>> two.crt
-----BEGIN CERTIFICATE-----
MIIBYDCCAQWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIdHdvLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
CHR3by50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEP9rNOhjJU9w9xLQB
u2Wiwuddx/WytXuLnDjiC4J3r8EJwDlJ0LsOmeIS835qZtkCV/piEpQY1N+wsdsJ
NoukS6NHMEUwEwYDVR0RBAwwCoIIdHdvLnRlc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQU/KOAgnV4i7/19jN2ZalWNa18nuUwCgYIKoZIzj0EAwIDSQAwRgIh
AJo5nxLV34TfpcBhXRvPXMETkQom1gmqVkgLIL9lCpzKAiEAigiFGUT0rlD8F/+X
n+5+1ODB/2eKFdtuzLb+S7oYidA=
-----END CERTIFICATE-----
>>> two.key
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgno5tfO1iEMKMJU4z
Kc4WQUpZ4aBzvvtiv0vcswVV8qyhRANCAAQ/2s06GMlT3D3EtAG7ZaLC513H9bK1
e4ucOOILgnevwQnAOUnQuw6Z4hLzfmpm2QJX+mISlBjU37Cx2wk2i6RL
-----END PRIVATE KEY-----
--- config
    lua_ssl_trusted_certificate ../html/one.crt;
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
        ssl_certificate ../html/one.crt;
        ssl_certificate_key ../html/one.key;
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
--- user_files
>>> one.crt
-----BEGIN CERTIFICATE-----
MIIBXjCCAQWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIb25lLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
CG9uZS50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMgUcr7tMWTkaIMJa
kb3hXoYJYEymgAG9R2rinWclLp6Y2j8D8YwDWrHsD9wX6nBFx2Vblik+hMmOV4SL
M/DWQqNHMEUwEwYDVR0RBAwwCoIIb25lLnRlc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQUQKUpp1qtTSl/iZcp5KBlGSbzwE8wCgYIKoZIzj0EAwIDRwAwRAIg
ciFYV1la39mjtUd017Y8siZl3J8upexBpczROMpsTy4CIEHFj5MohVDCR+erkMlD
3QyQfe/WN6z8LmSJtdwiuUtk
-----END CERTIFICATE-----
>>> one.key
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDsEwg5cMrqGke2pE
+ExbTMWQ9Gf/VIL8uXr0K9sIB9mhRANCAAQyBRyvu0xZORogwlqRveFehglgTKaA
Ab1HauKdZyUunpjaPwPxjANasewP3BfqcEXHZVuWKT6EyY5XhIsz8NZC
-----END PRIVATE KEY-----
>>> two.crt
-----BEGIN CERTIFICATE-----
MIIBYDCCAQWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIdHdvLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
CHR3by50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEP9rNOhjJU9w9xLQB
u2Wiwuddx/WytXuLnDjiC4J3r8EJwDlJ0LsOmeIS835qZtkCV/piEpQY1N+wsdsJ
NoukS6NHMEUwEwYDVR0RBAwwCoIIdHdvLnRlc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQU/KOAgnV4i7/19jN2ZalWNa18nuUwCgYIKoZIzj0EAwIDSQAwRgIh
AJo5nxLV34TfpcBhXRvPXMETkQom1gmqVkgLIL9lCpzKAiEAigiFGUT0rlD8F/+X
n+5+1ODB/2eKFdtuzLb+S7oYidA=
-----END CERTIFICATE-----
>>> two.key
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgno5tfO1iEMKMJU4z
Kc4WQUpZ4aBzvvtiv0vcswVV8qyhRANCAAQ/2s06GMlT3D3EtAG7ZaLC513H9bK1
e4ucOOILgnevwQnAOUnQuw6Z4hLzfmpm2QJX+mISlBjU37Cx2wk2i6RL
-----END PRIVATE KEY-----
--- config
    lua_ssl_trusted_certificate ../html/one.crt;
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
        ssl_certificate ../html/one.crt;
        ssl_certificate_key ../html/one.key;
        ssl_session_tickets off;
        location / { return 200 "reused: $ssl_session_reused\n"; }
    }
--- user_files
>>> one.crt
-----BEGIN CERTIFICATE-----
MIIBXjCCAQWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIb25lLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
CG9uZS50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMgUcr7tMWTkaIMJa
kb3hXoYJYEymgAG9R2rinWclLp6Y2j8D8YwDWrHsD9wX6nBFx2Vblik+hMmOV4SL
M/DWQqNHMEUwEwYDVR0RBAwwCoIIb25lLnRlc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQUQKUpp1qtTSl/iZcp5KBlGSbzwE8wCgYIKoZIzj0EAwIDRwAwRAIg
ciFYV1la39mjtUd017Y8siZl3J8upexBpczROMpsTy4CIEHFj5MohVDCR+erkMlD
3QyQfe/WN6z8LmSJtdwiuUtk
-----END CERTIFICATE-----
>>> one.key
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDsEwg5cMrqGke2pE
+ExbTMWQ9Gf/VIL8uXr0K9sIB9mhRANCAAQyBRyvu0xZORogwlqRveFehglgTKaA
Ab1HauKdZyUunpjaPwPxjANasewP3BfqcEXHZVuWKT6EyY5XhIsz8NZC
-----END PRIVATE KEY-----
>>> two.crt
-----BEGIN CERTIFICATE-----
MIIBYDCCAQWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIdHdvLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
CHR3by50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEP9rNOhjJU9w9xLQB
u2Wiwuddx/WytXuLnDjiC4J3r8EJwDlJ0LsOmeIS835qZtkCV/piEpQY1N+wsdsJ
NoukS6NHMEUwEwYDVR0RBAwwCoIIdHdvLnRlc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQU/KOAgnV4i7/19jN2ZalWNa18nuUwCgYIKoZIzj0EAwIDSQAwRgIh
AJo5nxLV34TfpcBhXRvPXMETkQom1gmqVkgLIL9lCpzKAiEAigiFGUT0rlD8F/+X
n+5+1ODB/2eKFdtuzLb+S7oYidA=
-----END CERTIFICATE-----
>>> two.key
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgno5tfO1iEMKMJU4z
Kc4WQUpZ4aBzvvtiv0vcswVV8qyhRANCAAQ/2s06GMlT3D3EtAG7ZaLC513H9bK1
e4ucOOILgnevwQnAOUnQuw6Z4hLzfmpm2QJX+mISlBjU37Cx2wk2i6RL
-----END PRIVATE KEY-----
--- config
    lua_ssl_trusted_certificate ../html/one.crt;
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
        ssl_certificate ../html/one.crt;
        ssl_certificate_key ../html/one.key;
        ssl_verify_client optional_no_ca;
        location / { return 200 "$ssl_client_s_dn\n"; }
    }
--- user_files
>>> one.crt
-----BEGIN CERTIFICATE-----
MIIBXjCCAQWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIb25lLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
CG9uZS50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMgUcr7tMWTkaIMJa
kb3hXoYJYEymgAG9R2rinWclLp6Y2j8D8YwDWrHsD9wX6nBFx2Vblik+hMmOV4SL
M/DWQqNHMEUwEwYDVR0RBAwwCoIIb25lLnRlc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQUQKUpp1qtTSl/iZcp5KBlGSbzwE8wCgYIKoZIzj0EAwIDRwAwRAIg
ciFYV1la39mjtUd017Y8siZl3J8upexBpczROMpsTy4CIEHFj5MohVDCR+erkMlD
3QyQfe/WN6z8LmSJtdwiuUtk
-----END CERTIFICATE-----
>>> one.key
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDsEwg5cMrqGke2pE
+ExbTMWQ9Gf/VIL8uXr0K9sIB9mhRANCAAQyBRyvu0xZORogwlqRveFehglgTKaA
Ab1HauKdZyUunpjaPwPxjANasewP3BfqcEXHZVuWKT6EyY5XhIsz8NZC
-----END PRIVATE KEY-----
>>> two.crt
-----BEGIN CERTIFICATE-----
MIIBYDCCAQWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIdHdvLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
CHR3by50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEP9rNOhjJU9w9xLQB
u2Wiwuddx/WytXuLnDjiC4J3r8EJwDlJ0LsOmeIS835qZtkCV/piEpQY1N+wsdsJ
NoukS6NHMEUwEwYDVR0RBAwwCoIIdHdvLnRlc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQU/KOAgnV4i7/19jN2ZalWNa18nuUwCgYIKoZIzj0EAwIDSQAwRgIh
AJo5nxLV34TfpcBhXRvPXMETkQom1gmqVkgLIL9lCpzKAiEAigiFGUT0rlD8F/+X
n+5+1ODB/2eKFdtuzLb+S7oYidA=
-----END CERTIFICATE-----
>>> two.key
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgno5tfO1iEMKMJU4z
Kc4WQUpZ4aBzvvtiv0vcswVV8qyhRANCAAQ/2s06GMlT3D3EtAG7ZaLC513H9bK1
e4ucOOILgnevwQnAOUnQuw6Z4hLzfmpm2QJX+mISlBjU37Cx2wk2i6RL
-----END PRIVATE KEY-----
--- config
    location /t {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/tls.sock;
        proxy_ssl_verify on;
        proxy_ssl_name other.test;
        proxy_ssl_trusted_certificate ../html/two.crt;
        lua_upstream_skip_openssl_default_verify on;
        proxy_ssl_certificate_by_lua_block {
            local ssl = require "ngx.ssl"
            local mine = require "ngx.ssl.proxysslcert"
            local function text(name)
                local f = assert(io.open("$TEST_NGINX_HTML_DIR/" .. name))
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
        ssl_certificate ../html/one.crt;
        ssl_certificate_key ../html/one.key;
        ssl_verify_client optional_no_ca;
        location / { return 200 "$ssl_client_s_dn\n"; }
    }
--- user_files
>>> one.crt
-----BEGIN CERTIFICATE-----
MIIBXjCCAQWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIb25lLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
CG9uZS50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMgUcr7tMWTkaIMJa
kb3hXoYJYEymgAG9R2rinWclLp6Y2j8D8YwDWrHsD9wX6nBFx2Vblik+hMmOV4SL
M/DWQqNHMEUwEwYDVR0RBAwwCoIIb25lLnRlc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQUQKUpp1qtTSl/iZcp5KBlGSbzwE8wCgYIKoZIzj0EAwIDRwAwRAIg
ciFYV1la39mjtUd017Y8siZl3J8upexBpczROMpsTy4CIEHFj5MohVDCR+erkMlD
3QyQfe/WN6z8LmSJtdwiuUtk
-----END CERTIFICATE-----
>>> one.key
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDsEwg5cMrqGke2pE
+ExbTMWQ9Gf/VIL8uXr0K9sIB9mhRANCAAQyBRyvu0xZORogwlqRveFehglgTKaA
Ab1HauKdZyUunpjaPwPxjANasewP3BfqcEXHZVuWKT6EyY5XhIsz8NZC
-----END PRIVATE KEY-----
>>> two.crt
-----BEGIN CERTIFICATE-----
MIIBYDCCAQWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIdHdvLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
CHR3by50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEP9rNOhjJU9w9xLQB
u2Wiwuddx/WytXuLnDjiC4J3r8EJwDlJ0LsOmeIS835qZtkCV/piEpQY1N+wsdsJ
NoukS6NHMEUwEwYDVR0RBAwwCoIIdHdvLnRlc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQU/KOAgnV4i7/19jN2ZalWNa18nuUwCgYIKoZIzj0EAwIDSQAwRgIh
AJo5nxLV34TfpcBhXRvPXMETkQom1gmqVkgLIL9lCpzKAiEAigiFGUT0rlD8F/+X
n+5+1ODB/2eKFdtuzLb+S7oYidA=
-----END CERTIFICATE-----
>>> two.key
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgno5tfO1iEMKMJU4z
Kc4WQUpZ4aBzvvtiv0vcswVV8qyhRANCAAQ/2s06GMlT3D3EtAG7ZaLC513H9bK1
e4ucOOILgnevwQnAOUnQuw6Z4hLzfmpm2QJX+mISlBjU37Cx2wk2i6RL
-----END PRIVATE KEY-----
--- config
    location /t {
        proxy_pass https://unix:$TEST_NGINX_HTML_DIR/tls.sock;
        proxy_ssl_verify on;
        proxy_ssl_name one.test;
        proxy_ssl_trusted_certificate ../html/two.crt;
        lua_upstream_skip_openssl_default_verify on;
        proxy_ssl_certificate_by_lua_block {
            local ssl = require "ngx.ssl"
            local mine = require "ngx.ssl.proxysslcert"
            local function text(name)
                local f = assert(io.open("$TEST_NGINX_HTML_DIR/" .. name))
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
        ssl_certificate ../html/one.crt;
        ssl_certificate_key ../html/one.key;
        ssl_verify_client on;
        ssl_client_certificate ../html/two.crt;
        location / { return 200 "$ssl_client_s_dn $ssl_client_verify\n"; }
    }
--- user_files
>>> one.crt
-----BEGIN CERTIFICATE-----
MIIBXjCCAQWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIb25lLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
CG9uZS50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMgUcr7tMWTkaIMJa
kb3hXoYJYEymgAG9R2rinWclLp6Y2j8D8YwDWrHsD9wX6nBFx2Vblik+hMmOV4SL
M/DWQqNHMEUwEwYDVR0RBAwwCoIIb25lLnRlc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQUQKUpp1qtTSl/iZcp5KBlGSbzwE8wCgYIKoZIzj0EAwIDRwAwRAIg
ciFYV1la39mjtUd017Y8siZl3J8upexBpczROMpsTy4CIEHFj5MohVDCR+erkMlD
3QyQfe/WN6z8LmSJtdwiuUtk
-----END CERTIFICATE-----
>>> one.key
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDsEwg5cMrqGke2pE
+ExbTMWQ9Gf/VIL8uXr0K9sIB9mhRANCAAQyBRyvu0xZORogwlqRveFehglgTKaA
Ab1HauKdZyUunpjaPwPxjANasewP3BfqcEXHZVuWKT6EyY5XhIsz8NZC
-----END PRIVATE KEY-----
>>> two.crt
-----BEGIN CERTIFICATE-----
MIIBYDCCAQWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIdHdvLnRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
CHR3by50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEP9rNOhjJU9w9xLQB
u2Wiwuddx/WytXuLnDjiC4J3r8EJwDlJ0LsOmeIS835qZtkCV/piEpQY1N+wsdsJ
NoukS6NHMEUwEwYDVR0RBAwwCoIIdHdvLnRlc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQU/KOAgnV4i7/19jN2ZalWNa18nuUwCgYIKoZIzj0EAwIDSQAwRgIh
AJo5nxLV34TfpcBhXRvPXMETkQom1gmqVkgLIL9lCpzKAiEAigiFGUT0rlD8F/+X
n+5+1ODB/2eKFdtuzLb+S7oYidA=
-----END CERTIFICATE-----
>>> two.key
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgno5tfO1iEMKMJU4z
Kc4WQUpZ4aBzvvtiv0vcswVV8qyhRANCAAQ/2s06GMlT3D3EtAG7ZaLC513H9bK1
e4ucOOILgnevwQnAOUnQuw6Z4hLzfmpm2QJX+mISlBjU37Cx2wk2i6RL
-----END PRIVATE KEY-----
--- config
    lua_ssl_trusted_certificate ../html/one.crt;
    lua_ssl_protocols TLSv1.2;
    location /t {
        content_by_lua_block {
            local ssl = require "ngx.ssl"
            local function text(name)
                local f = assert(io.open("$TEST_NGINX_HTML_DIR/" .. name))
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
MIIBbDCCARGgAwIBAgICEAAwCgYIKoZIzj0EAwIwFzEVMBMGA1UEAwwMYmFja2Vu
ZC50ZXN0MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAXMRUwEwYD
VQQDDAxiYWNrZW5kLnRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARGFXHN
gclowm9Jn/fiAQodEGydGY17/xBxxOEaB6oOFL4mubPmuvo6SpiI4X2pRjZevFqW
gqlLyC54oW4934kdo0swSTAXBgNVHREEEDAOggxiYWNrZW5kLnRlc3QwDwYDVR0T
AQH/BAUwAwEB/zAdBgNVHQ4EFgQUS+Q/8VEcbM5fPC8iPvxjdJZc3CEwCgYIKoZI
zj0EAwIDSQAwRgIhAMmGS1g8TZrfPTbzbAc4qX47d26q7MgyRYVTsopq0QphAiEA
mgsMwHy7BBw5nqT3AD4Eub+BA6CSNR5ZOmPNRglbCtc=
-----END CERTIFICATE-----
>>> key.pem
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg+97IetjDZuSSmSPQ
TiXY3bGbc2yKcVskMlhBPXIJeXmhRANCAARGFXHNgclowm9Jn/fiAQodEGydGY17
/xBxxOEaB6oOFL4mubPmuvo6SpiI4X2pRjZevFqWgqlLyC54oW4934kd
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
