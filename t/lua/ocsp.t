ngx.ocsp.

=== TEST 1: questions about certificates, and answers that are none
--- config
    location /t {
        content_by_lua_block {
            local ssl, ocsp = require "ngx.ssl", require "ngx.ocsp"
            local function der(name)
                local f = assert(io.open("$TEST_NGINX_CERT_DIR/" .. name))
                local all = f:read("*a")
                f:close()
                return assert(ssl.cert_pem_to_der(all))
            end
            -- It issued itself, so it stands for both.
            local one, two = der("one.crt"), der("two.crt")
            ngx.say(ocsp.create_ocsp_request(""))
            ngx.say(ocsp.create_ocsp_request(one))
            -- Whether the second issued the first is not asked here.
            ngx.say(ocsp.create_ocsp_request(one .. two) ~= nil)
            local request = assert(ocsp.create_ocsp_request(one .. one))
            ngx.say(request:sub(1, 1) == "\48", " ", #request == request:byte(2) + 2)
            ngx.say(ocsp.create_ocsp_request(one .. one, 8) == nil)
            ngx.say(ocsp.get_ocsp_responder_from_der_chain(one .. one))
            ngx.say(ocsp.validate_ocsp_response("rubbish", one .. one))
            ngx.say(ocsp.validate_ocsp_response("\48\3\10\1\3", one .. one))
        }
    }
--- request
GET /t
--- response_body
nild2i_X509_bio() failed
nilno issuer certificate in chain
true
true true
true
nil
nild2i_OCSP_RESPONSE() failed
nilOCSP response not successful (3: trylater)
