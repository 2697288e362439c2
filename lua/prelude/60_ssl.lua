-- ngx.ssl and what belongs to it. Certificates, keys and sessions are cdata, as in OpenResty.
local B = ...
local N = B.N
local ffi = require "ffi"
local type, error, tonumber, pairs = type, error, tonumber, pairs
local cast, gc, istype = ffi.cast, ffi.gc, ffi.istype

local pointer, address = ffi.typeof("void *"), ffi.typeof("uintptr_t")
local free = N["ssl.free"]

-- Our handles by the addresses of OpenSSL's objects.
local natives = {}

local function handle_of(object)
  local number = tonumber(cast(address, object))
  return natives[number] or number
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

-- Libraries (resty.openssl, hence resty.http with certificates of clients) take certificates and
-- keys for objects of OpenSSL. Where the system has it, they are some; ours stand behind them.
B.openssl.cdef [[
  void *moonbeat_d2i_cert(void **, const unsigned char **, long) __asm__("d2i_X509");
  void *moonbeat_d2i_key(void **, const unsigned char **, long) __asm__("d2i_AutoPrivateKey");
  void *moonbeat_list_new(void) __asm__("OPENSSL_sk_new_null");
  int moonbeat_list_push(void *, void *) __asm__("OPENSSL_sk_push");
  void moonbeat_list_free(void *, void *) __asm__("OPENSSL_sk_pop_free");
  void moonbeat_cert_free(void *) __asm__("X509_free");
  void moonbeat_key_free(void *) __asm__("EVP_PKEY_free");
]]
local C = ffi.C

local function free_list(list)
  C.moonbeat_list_free(list, cast(pointer, C.moonbeat_cert_free))
end

-- A STACK_OF(X509) *, or nothing.
local function openssl_list(der)
  local start = cast("const unsigned char *", der)
  local at = ffi.new("const unsigned char *[1]", start)
  local list = C.moonbeat_list_new()
  while at[0] - start < #der do
    local cert = C.moonbeat_d2i_cert(nil, at, #der - (at[0] - start))
    if cert == nil then
      return free_list(list)
    end
    C.moonbeat_list_push(list, cert)
  end
  return list
end

-- An EVP_PKEY *, or nothing.
local function openssl_key(der)
  local at = ffi.new("const unsigned char *[1]", cast("const unsigned char *", der))
  local key = C.moonbeat_d2i_key(nil, at, #der)
  return key ~= nil and key or nil
end

-- What `make` makes of `der`, standing for a native handle.
local function openssl_object(handle, der, make, drop)
  local made = B.openssl.load() and der and make(der)
  if not made then
    return object(handle)
  end
  local number = tonumber(cast(address, made))
  natives[number] = handle
  return gc(made, function(value)
    natives[number] = nil
    free(handle)
    drop(value)
  end)
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

local function as_is(der)
  return der
end

local function drop_key(key)
  C.moonbeat_key_free(key)
end

for name, how in pairs {
  parse_pem_cert = { N["ssl.cert_pem_to_der"], openssl_list, free_list },
  parse_der_cert = { as_is, openssl_list, free_list },
  parse_pem_priv_key = { N["ssl.priv_key_pem_to_der"], openssl_key, drop_key },
  parse_der_priv_key = { as_is, openssl_key, drop_key },
} do
  local parse, to_der, make, drop = N["ssl." .. name], how[1], how[2], how[3]
  ssl[name] = function(data)
    local handle, err = parse(text(data, name))
    if not handle then
      return nil, err
    end
    return openssl_object(handle, to_der(data), make, drop)
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
