-- resty.aes: AES of the system's libcrypto.
local ffi = require "ffi"
local C, setmetatable, type, pcall, error = ffi.C, setmetatable, type, pcall, error

ffi.cdef [[
  typedef struct engine_st ENGINE;
  typedef struct evp_cipher_st EVP_CIPHER;
  typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;
  typedef struct env_md_st EVP_MD;
  EVP_CIPHER_CTX *EVP_CIPHER_CTX_new();
  void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *a);
  int EVP_CIPHER_CTX_set_padding(EVP_CIPHER_CTX *ctx, int padding);
  int EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *ctx, int type, int arg, void *ptr);
  int EVP_EncryptInit_ex(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, ENGINE *impl,
    unsigned char *key, const unsigned char *iv);
  int EVP_EncryptUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *outl,
    const unsigned char *in, int inl);
  int EVP_EncryptFinal_ex(EVP_CIPHER_CTX *ctx, unsigned char *out, int *outl);
  int EVP_DecryptInit_ex(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, ENGINE *impl,
    unsigned char *key, const unsigned char *iv);
  int EVP_DecryptUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *outl,
    const unsigned char *in, int inl);
  int EVP_DecryptFinal_ex(EVP_CIPHER_CTX *ctx, unsigned char *outm, int *outl);
  int EVP_BytesToKey(const EVP_CIPHER *type, const EVP_MD *md, const unsigned char *salt,
    const unsigned char *data, int datal, int count, unsigned char *key, unsigned char *iv);
]]

-- Numbers of OpenSSL's evp.h.
local CTRL_SET_IVLEN, CTRL_GET_TAG, CTRL_SET_TAG = 0x9, 0x10, 0x11
local BLOCK_MAX, TAG_SIZE, KEY_MAX, SALT_SIZE, IV_SIZE = 32, 16, 64, 8, 16

local aes = { _VERSION = "0.16", hash = {} }
local mt = { __index = aes }

-- A function of OpenSSL without arguments, whose result stands for an algorithm.
local function algorithm(kind, name)
  ffi.cdef("const " .. kind .. " *" .. name .. "(void);")
  local ok, found = pcall(function()
    return C[name]()
  end)
  return ok and found or nil
end

for _, name in ipairs { "md5", "sha1", "sha224", "sha256", "sha384", "sha512" } do
  aes.hash[name] = algorithm("EVP_MD", "EVP_" .. name)
end

function aes.cipher(size, mode)
  size, mode = size or 128, mode or "cbc"
  local method = algorithm("EVP_CIPHER", "EVP_aes_" .. size .. "_" .. mode)
  return method and { size = size, cipher = mode, method = method }
end

-- The key and initial vector a caller made himself; `how` may have a `method` to make the key with.
local function own_key(self, key, cipher, how, iv_size)
  local iv = how.iv
  if not iv then
    return "iv is needed"
  end
  if how.method then
    key = how.method(key)
  end
  if cipher.cipher ~= "gcm" and #iv ~= IV_SIZE or cipher.cipher == "gcm" and iv_size
    and #iv ~= iv_size then
    return "bad iv length"
  end
  if #key ~= cipher.size / 8 then
    return "bad key length"
  end
  ffi.copy(self.key, key, #key)
  ffi.copy(self.iv, iv, #iv)
end

local function derived_key(self, key, salt, cipher, how, rounds)
  if salt and #salt ~= SALT_SIZE then
    return "salt must be 8 characters or nil"
  end
  local size = C.EVP_BytesToKey(cipher.method, how, salt, key, #key, rounds, self.key, self.iv)
  if size ~= cipher.size / 8 then
    return "failed to generate key and iv"
  end
end

local function new_context()
  local ctx = C.EVP_CIPHER_CTX_new()
  return ctx ~= nil and ffi.gc(ctx, C.EVP_CIPHER_CTX_free) or nil
end

-- Prepares both contexts; tells what failed.
local function init(self, method, iv_size, padding)
  local enc, dec = self.encrypter, self.decrypter
  if C.EVP_EncryptInit_ex(enc, method, nil, nil, nil) == 0
    or C.EVP_DecryptInit_ex(dec, method, nil, nil, nil) == 0 then
    return "failed to init ctx"
  end
  if self.is_gcm and iv_size
    and (C.EVP_CIPHER_CTX_ctrl(enc, CTRL_SET_IVLEN, iv_size, nil) == 0
      or C.EVP_CIPHER_CTX_ctrl(dec, CTRL_SET_IVLEN, iv_size, nil) == 0) then
    return "failed to set IV length"
  end
  if C.EVP_CIPHER_CTX_set_padding(enc, padding) ~= 1 then
    return "failed to set padding for encrypt context"
  end
  if C.EVP_CIPHER_CTX_set_padding(dec, padding) ~= 1 then
    return "failed to set padding for decrypt context"
  end
end

function aes.new(_, key, salt, cipher, hash, rounds, iv_size, enable_padding)
  local enc, dec = new_context(), new_context()
  if not enc or not dec then
    return nil, "no memory"
  end
  cipher = cipher or aes.cipher()
  hash = hash or aes.hash.md5
  local self = setmetatable({
    encrypter = enc,
    decrypter = dec,
    key = ffi.new("unsigned char[?]", KEY_MAX),
    iv = ffi.new("unsigned char[?]", KEY_MAX),
    is_gcm = cipher.cipher == "gcm",
  }, mt)
  if self.is_gcm and not iv_size and type(hash) == "table" and hash.iv then
    iv_size = #hash.iv
  end
  local err
  if type(hash) == "table" then
    err = own_key(self, key, cipher, hash, iv_size)
  else
    err = derived_key(self, key, salt, cipher, hash, rounds or 1)
  end
  err = err or init(self, cipher.method, iv_size, enable_padding == false and 0 or 1)
  if err then
    return nil, err
  end
  return self
end

local function check_self(self)
  if type(self) ~= "table" then
    error("bad argument #1 self: table expected, got " .. type(self), 3)
  end
end

-- Text in, and the buffer with what came out.
local function update(name, ctx, text)
  local out, length = ffi.new("unsigned char[?]", #text + 2 * BLOCK_MAX), ffi.new "int[1]"
  if C[name](ctx, out, length, text, #text) == 0 then
    return nil, name .. " failed"
  end
  return out, length[0]
end

function aes:encrypt(text, aad)
  check_self(self)
  local ctx, length = self.encrypter, ffi.new "int[1]"
  if C.EVP_EncryptInit_ex(ctx, nil, nil, self.key, self.iv) == 0 then
    return nil, "EVP_EncryptInit_ex failed"
  end
  if self.is_gcm and aad and C.EVP_EncryptUpdate(ctx, nil, length, aad, #aad) == 0 then
    return nil, "C.EVP_EncryptUpdate failed"
  end
  local out, n = update("EVP_EncryptUpdate", ctx, text)
  if not out then
    return nil, n
  end
  if C.EVP_EncryptFinal_ex(ctx, out + n, length) == 0 then
    return nil, "EVP_EncryptFinal_ex failed"
  end
  local sealed = ffi.string(out, n + length[0])
  if not self.is_gcm then
    return sealed
  end
  local tag = ffi.new("unsigned char[?]", TAG_SIZE)
  C.EVP_CIPHER_CTX_ctrl(ctx, CTRL_GET_TAG, TAG_SIZE, tag)
  return { sealed, ffi.string(tag, TAG_SIZE) }
end

function aes:decrypt(text, tag, aad)
  check_self(self)
  local ctx, length = self.decrypter, ffi.new "int[1]"
  if C.EVP_DecryptInit_ex(ctx, nil, nil, self.key, self.iv) == 0 then
    return nil, "EVP_DecryptInit_ex failed"
  end
  if self.is_gcm and aad and C.EVP_DecryptUpdate(ctx, nil, length, aad, #aad) == 0 then
    return nil, "C.EVP_DecryptUpdate failed"
  end
  local out, n = update("EVP_DecryptUpdate", ctx, text)
  if not out then
    return nil, n
  end
  if self.is_gcm and tag then
    local copy = ffi.new("unsigned char[?]", #tag)
    ffi.copy(copy, tag, #tag)
    C.EVP_CIPHER_CTX_ctrl(ctx, CTRL_SET_TAG, #tag, copy)
  end
  if C.EVP_DecryptFinal_ex(ctx, out + n, length) == 0 then
    return nil, "EVP_DecryptFinal_ex failed"
  end
  return ffi.string(out, n + length[0])
end

return aes
