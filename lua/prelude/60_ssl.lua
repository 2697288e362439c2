-- ngx.ssl: certificates and keys out of PEM text. A parsed one is a table of DER strings.
local B = ...
local ngx, type, concat, setmetatable = B.ngx, type, table.concat, setmetatable

local CERT_FAILED = "PEM_read_bio_X509_AUX() failed"
local KEY_FAILED = "PEM_read_bio_PrivateKey() failed"
local cert_mt, key_mt = {}, {}

-- The contents of all blocks whose label ends like this.
local function ders(pem, ending)
  local list, n = {}, 0
  for label, body in pem:gmatch("%-%-%-%-%-BEGIN ([^-]+)%-%-%-%-%-(.-)%-%-%-%-%-END") do
    local der = label:sub(-#ending) == ending and ngx.decode_base64((body:gsub("%s", "")))
    if der then
      n = n + 1
      list[n] = der
    end
  end
  return n > 0 and list or nil
end

local function parse(pem, ending, mt, failed)
  local list = type(pem) == "string" and ders(pem, ending)
  if not list then
    return nil, failed
  end
  return setmetatable(list, mt)
end

local ssl = {}

function ssl.parse_pem_cert(pem)
  return parse(pem, "CERTIFICATE", cert_mt, CERT_FAILED)
end

function ssl.parse_pem_priv_key(pem)
  return parse(pem, "PRIVATE KEY", key_mt, KEY_FAILED)
end

function ssl.cert_pem_to_der(pem)
  local list, err = ssl.parse_pem_cert(pem)
  return list and concat(list), err
end

function ssl.priv_key_pem_to_der(pem)
  local list, err = ssl.parse_pem_priv_key(pem)
  return list and list[1], err
end

function ssl.parse_der_cert(der)
  return setmetatable({ der }, cert_mt)
end

function ssl.parse_der_priv_key(der)
  return setmetatable({ der }, key_mt)
end

B.module("ngx.ssl", ssl)
