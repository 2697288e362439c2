-- ngx.ocsp
local B = ...
local N = B.N
local type, error, tonumber, sub = type, error, tonumber, string.sub

local USUAL_BYTES = 4096

local function text(value, name, position)
  if type(value) ~= "string" then
    error("bad argument #" .. position .. " to '" .. name .. "' (string expected, got "
      .. (value == nil and "no value" or type(value)) .. ")", 3)
  end
  return value
end

local ocsp = { version = "0.1.32" }

function ocsp.get_ocsp_responder_from_der_chain(chain, most)
  text(chain, "get_ocsp_responder_from_der_chain", 1)
  return N["ocsp.responder"](chain, tonumber(most) or USUAL_BYTES)
end

function ocsp.create_ocsp_request(chain, most)
  return N["ocsp.request"](text(chain, "create_ocsp_request", 1), tonumber(most) or USUAL_BYTES)
end

function ocsp.validate_ocsp_response(response, chain, most)
  text(response, "validate_ocsp_response", 1)
  local ok, more = N["ocsp.validate"](response, text(chain, "validate_ocsp_response", 2))
  if ok then
    return true, more
  end
  return nil, sub(more, 1, tonumber(most) or USUAL_BYTES)
end

function ocsp.set_ocsp_status_resp(response)
  return N["ssl.set_ocsp_status_resp"](text(response, "set_ocsp_status_resp", 1))
end

B.module("ngx.ocsp", ocsp)
