-- nginx is linked with OpenSSL, whose functions libraries (resty.aes, resty.openssl) call through
-- ffi.C. Here the system's OpenSSL is loaded for them, when they first declare any of it.
local B = ...
local ffi = require "ffi"
local cdef, find, type, ipairs, pcall = ffi.cdef, string.find, type, ipairs, pcall

local NAMES = { "EVP_", "RAND_", "HMAC_", "MD5_", "SHA1_", "SHA2", "SHA5", "SHA3", "BIO_", "PEM_",
  "X509_", "RSA_", "ERR_", "BN_", "EC_", "ASN1_", "OPENSSL_", "OpenSSL_", "CRYPTO_", "OSSL_", "SSL_",
  "PKCS", "OCSP_", "DH_", "ECDSA_", "AES_", "DES_", "CMAC_", "d2i_", "i2d_", "OBJ_" }
-- Newest first; each with what is built on it.
local FILES = { { "libcrypto.so.3", "libssl.so.3" }, { "libcrypto.so.1.1", "libssl.so.1.1" },
  { "libcrypto.so", "libssl.so" } }
local is_loaded, is_there

-- As in nginx the default provider is there before a script loads another one: OpenSSL 3 would
-- leave it out after that. Under names of our own, as scripts declare these functions too.
cdef [[
  void *moonbeat_md_fetch(void *, const char *, const char *) __asm__("EVP_MD_fetch");
  void moonbeat_md_free(void *) __asm__("EVP_MD_free");
]]
local function wake()
  ffi.C.moonbeat_md_free(ffi.C.moonbeat_md_fetch(nil, "SHA256", nil))
end

local function load()
  is_loaded = true
  for _, files in ipairs(FILES) do
    if pcall(ffi.load, files[1], true) then
      is_there = true
      pcall(ffi.load, files[2], true)
      -- Before version 3 there are no providers.
      pcall(wake)
      return
    end
  end
end

-- For the prelude itself: declares without loading, and says whether OpenSSL could be loaded.
B.openssl = { cdef = cdef, load = function()
  if not is_loaded then
    load()
  end
  return is_there
end }

function ffi.cdef(text, ...)
  if not is_loaded and type(text) == "string" then
    for _, name in ipairs(NAMES) do
      if find(text, name, 1, true) then
        load()
        break
      end
    end
  end
  return cdef(text, ...)
end
