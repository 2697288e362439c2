-- ngx.ssl and what belongs to it. Certificates, keys and sessions are cdata, as in OpenResty.
local B = ...
local N = B.N
local ffi = require "ffi"
local type, error, tonumber = type, error, tonumber
local cast, gc, istype = ffi.cast, ffi.gc, ffi.istype

local pointer, address = ffi.typeof("void *"), ffi.typeof("uintptr_t")
local free = N["ssl.free"]

local function handle_of(object)
  return tonumber(cast(address, object))
end

local function release(object)
  free(handle_of(object))
end

-- A native handle as a pointer that lets go of what it stands for.
local function object(handle, err)
  if not handle then
    return nil, err
  end
  return gc(cast(pointer, cast(address, handle)), release)
end

local function handle(value)
  if value == nil then
    return nil
  end
  return istype(pointer, value) and handle_of(value) or 0
end

B.ssl_object, B.ssl_handle = object, handle

local function text(value, name, position)
  if type(value) ~= "string" then
    error("bad argument #" .. (position or 1) .. " to '" .. name .. "' (string expected, got "
      .. (value == nil and "no value" or type(value)) .. ")", 3)
  end
  return value
end

local versions = { [0x0300] = "SSLv3", [0x0301] = "TLSv1", [0x0302] = "TLSv1.1",
  [0x0303] = "TLSv1.2", [0x0304] = "TLSv1.3" }

local function version_text(number, err)
  if not number then
    return nil, err
  end
  return versions[number] or nil, not versions[number] and "unknown version" or nil
end

local ssl = { _VERSION = "0.1.32", TLS1_VERSION = 0x0301, TLS1_1_VERSION = 0x0302,
  TLS1_2_VERSION = 0x0303, TLS1_3_VERSION = 0x0304, SSL3_VERSION = 0x0300 }

for _, name in ipairs { "parse_pem_cert", "parse_der_cert", "parse_pem_priv_key",
  "parse_der_priv_key" } do
  local parse = N["ssl." .. name]
  ssl[name] = function(data)
    return object(parse(text(data, name)))
  end
end

function ssl.cert_pem_to_der(pem)
  return N["ssl.cert_pem_to_der"](text(pem, "cert_pem_to_der"))
end

function ssl.priv_key_pem_to_der(pem)
  return N["ssl.priv_key_pem_to_der"](text(pem, "priv_key_pem_to_der"))
end

-- The functions that put certificates together, for clients or for upstreams.
local function setters(module, is_upstream)
  function module.set_cert(cert)
    return N["ssl.set_cert"](handle(cert) or 0, is_upstream)
  end

  function module.set_priv_key(key)
    return N["ssl.set_priv_key"](handle(key) or 0, is_upstream)
  end

  function module.set_der_cert(data)
    return N["ssl.set_der_cert"](text(data, "set_der_cert"), is_upstream)
  end

  function module.set_der_priv_key(data)
    return N["ssl.set_der_priv_key"](text(data, "set_der_priv_key"), is_upstream)
  end

  function module.clear_certs()
    return N["ssl.clear_certs"](nil, is_upstream)
  end

  return module
end

setters(ssl, false)

function ssl.verify_client(authorities, depth, trusted)
  return N["ssl.verify_client"](handle(authorities), depth, handle(trusted))
end

function ssl.raw_server_addr()
  return N["ssl.raw_addr"](true)
end

function ssl.raw_client_addr()
  return N["ssl.raw_addr"](false)
end

ssl.server_name = N["ssl.server_name"]
ssl.server_port = N["ssl.server_port"]
ssl.get_tls1_version = N["ssl.version"]
ssl.get_client_random = N["ssl.client_random"]

function ssl.get_tls1_version_str()
  return version_text(ssl.get_tls1_version())
end

-- There is no OpenSSL behind a connection.
function ssl.get_req_ssl_pointer()
  return nil, "not supported"
end

ssl.get_upstream_ssl_pointer = ssl.get_req_ssl_pointer

B.module("ngx.ssl", ssl)

local hello = { version = ssl._VERSION }
hello.get_client_hello_server_name = N["hello.server_name"]
hello.get_client_hello_ext_present = N["hello.ext_present"]
hello.get_client_hello_ciphers = N["hello.ciphers"]

function hello.get_client_hello_ext(kind)
  if type(kind) ~= "number" then
    error("bad argument #1 to 'get_client_hello_ext' (number expected, got "
      .. (kind == nil and "no value" or type(kind)) .. ")", 2)
  end
  return N["hello.ext"](kind)
end

function hello.get_supported_versions()
  local numbers, err = N["hello.versions"]()
  if not numbers then
    return nil, err
  end
  local list = {}
  for _, number in ipairs(numbers) do
    list[#list + 1] = versions[number]
  end
  return list
end

function hello.set_protocols(protocols)
  if type(protocols) ~= "table" then
    error("bad argument #1 to 'set_protocols' (table expected, got " .. type(protocols) .. ")", 2)
  end
  local wanted = {}
  for _, name in ipairs(protocols) do
    wanted[name] = true
  end
  return N["hello.set_protocols"](wanted["TLSv1.2"], wanted["TLSv1.3"])
end

B.module("ngx.ssl.clienthello", hello)

local session = { version = ssl._VERSION }
session.get_session_id = N["session.id"]
session.get_serialized_session = N["session.serialized"]

function session.set_serialized_session(data)
  return N["session.set"](text(data, "set_serialized_session"))
end

B.module("ngx.ssl.session", session)

local upstream = { version = ssl._VERSION, get_tls1_version = N["ssl.upstream_version"] }

function upstream.get_tls1_version_str()
  return version_text(upstream.get_tls1_version())
end

B.module("ngx.proxyssl", upstream)
B.module("ngx.ssl.proxysslcert", setters({ version = ssl._VERSION }, true))

B.module("ngx.ssl.proxysslverify", {
  version = ssl._VERSION,
  get_verify_result = N["verify.result"],
  set_verify_result = N["verify.set_result"],
  get_verify_cert = function()
    return object(N["verify.cert"]())
  end,
})
