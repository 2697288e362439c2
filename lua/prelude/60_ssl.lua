-- ngx.ssl: certificates and keys out of PEM text. A parsed one is a cdata of DER bytes, as scripts
-- tell parsed ones from text by their type; tcpsock:setclientcert takes them.
local B = ...
local N, ngx, type, concat = B.N, B.ngx, type, table.concat
local ffi = require "ffi"
local istype, copy, to_string = ffi.istype, ffi.copy, ffi.string

ffi.cdef [[
  typedef struct { uint32_t size; uint8_t data[?]; } moonbeat_cert;
  typedef struct { uint32_t size; uint8_t data[?]; } moonbeat_key;
]]
local cert_type, key_type = ffi.typeof "moonbeat_cert", ffi.typeof "moonbeat_key"

local CERT_FAILED = "PEM_read_bio_X509_AUX() failed"
local KEY_FAILED = "PEM_read_bio_PrivateKey() failed"

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

local function box(ctype, der)
  local boxed = ctype(#der)
  boxed.size = #der
  copy(boxed.data, der, #der)
  return boxed
end

local function bytes(boxed)
  return to_string(boxed.data, boxed.size)
end

-- The DER bytes of one block, or of all blocks of a chain one after the other.
local function parse(pem, ending, failed, chain)
  local list = type(pem) == "string" and ders(pem, ending)
  if not list then
    return nil, failed
  end
  return chain and concat(list) or list[1]
end

local ssl = {}

function ssl.cert_pem_to_der(pem)
  return parse(pem, "CERTIFICATE", CERT_FAILED, true)
end

function ssl.priv_key_pem_to_der(pem)
  return parse(pem, "PRIVATE KEY", KEY_FAILED)
end

function ssl.parse_der_cert(der)
  return box(cert_type, der)
end

function ssl.parse_der_priv_key(der)
  return box(key_type, der)
end

function ssl.parse_pem_cert(pem)
  local der, err = ssl.cert_pem_to_der(pem)
  if not der then
    return nil, err
  end
  return box(cert_type, der)
end

function ssl.parse_pem_priv_key(pem)
  local der, err = ssl.priv_key_pem_to_der(pem)
  if not der then
    return nil, err
  end
  return box(key_type, der)
end

-- The DER bytes behind what the parse functions gave, for other parts of the prelude.
function B.der_of_cert(cert)
  return istype(cert_type, cert) and bytes(cert) or nil
end

function B.der_of_key(key)
  return istype(key_type, key) and bytes(key) or nil
end

function B.tcp_meta.setclientcert(self, cert, key)
  local h = self[1]
  if not cert and not key then
    return N["socket.setclientcert"](h.id)
  end
  if not cert or not key then
    return nil, "client certificate must be supplied with corresponding private key"
  end
  if type(cert) ~= "cdata" then
    return nil, "bad cert arg: cdata expected, got " .. type(cert)
  end
  if type(key) ~= "cdata" then
    return nil, "bad pkey arg: cdata expected, got " .. type(key)
  end
  return N["socket.setclientcert"](h.id, B.der_of_cert(cert) or "", B.der_of_key(key) or "")
end

B.module("ngx.ssl", ssl)
