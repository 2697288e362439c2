-- nginx is linked with OpenSSL, whose functions libraries (resty.aes, resty.random, resty.md5) call
-- through ffi.C. Here the system's libcrypto is loaded for them, when they first declare any of it.
local ffi = require "ffi"
local cdef, find, type, ipairs, pcall = ffi.cdef, string.find, type, ipairs, pcall

local NAMES = { "EVP_", "RAND_", "HMAC_", "MD5_", "SHA1_", "SHA2", "SHA5", "SHA3", "BIO_", "PEM_",
  "X509_", "RSA_", "ERR_", "BN_", "EC_", "ASN1_", "OPENSSL_", "OpenSSL_" }
local FILES = { "libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.so" }
local is_loaded

local function load()
  is_loaded = true
  for _, file in ipairs(FILES) do
    if pcall(ffi.load, file, true) then
      return
    end
  end
end

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
