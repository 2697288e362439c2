-- resty.upload: multipart/form-data as a stream of headers and pieces of bodies.
local req = ngx.req
local match, setmetatable, type = string.match, setmetatable, type

local upload = { _VERSION = "0.11" }
local mt = { __index = upload }

local CHUNK_SIZE, LINE_SIZE_MAX = 4096, 512

local function boundary_of(header)
  if type(header) == "table" then
    header = header[1]
  end
  if not header then
    return nil
  end
  return match(header, ";%s*boundary=\"([^\"]+)\"") or match(header, ";%s*boundary=([^\",;]+)")
end

-- With `preserve`, all that is read goes back into the body of the request.
local function keep(self, bytes)
  if self.preserve and bytes then
    req.append_body(bytes)
  end
end

-- A reader up to a mark, which is kept together with what stood before it.
local function until_mark(self, mark)
  local read = self.sock:receiveuntil(mark)
  return function(size)
    local data, err, partial = read(size)
    if data then
      keep(self, data)
    elseif not err then
      keep(self, mark)
    end
    return data, err, partial
  end
end

function upload.new(_, chunk_size, line_size_max, preserve_body)
  local boundary = boundary_of(ngx.var.content_type)
  if not boundary then
    return nil, "no boundary defined in Content-Type"
  end
  local sock, err = req.socket()
  if not sock then
    return nil, err
  end
  if preserve_body then
    req.init_body(chunk_size)
  end
  local self = setmetatable({
    sock = sock,
    size = chunk_size or CHUNK_SIZE,
    line_size = line_size_max or LINE_SIZE_MAX,
    preserve = preserve_body,
    step = "preamble",
  }, mt)
  self.to_first = until_mark(self, "--" .. boundary)
  self.to_boundary = until_mark(self, "\r\n--" .. boundary)
  self.to_line_end = until_mark(self, "\r\n")
  return self
end

function upload:set_timeout(timeout_ms)
  local sock = self.sock
  if not sock then
    return nil, "not initialized"
  end
  return sock:settimeout(timeout_ms)
end

-- A line without its end.
local function line(self)
  local text, err = self.to_line_end(self.line_size)
  if not text then
    return nil, err
  end
  local more
  more, err = self.to_line_end(1)
  if more then
    return nil, "line too long: " .. text .. more .. "..."
  end
  if err then
    return nil, err
  end
  return text
end

local function drain(self)
  while true do
    local data, err, partial = self.sock:receive(self.size)
    keep(self, data or partial)
    if err == "closed" then
      break
    end
    if not data then
      return err
    end
  end
end

-- What follows a boundary: the end of all, or the rest of its line and a part. Tells the error.
local function after_boundary(self)
  local mark, err = self.sock:receive(2)
  if not mark then
    return err
  end
  keep(self, mark)
  if mark == "--" then
    self.step = "eof"
    err = drain(self)
    if not err and self.preserve then
      req.finish_body()
    end
    return err
  end
  if mark ~= "\r\n" then
    local rest, line_err = line(self)
    if not rest then
      return line_err
    end
  end
  self.step = "header"
end

local steps = {}

function steps.body(self)
  local chunk, err = self.to_boundary(self.size)
  if chunk then
    return "body", chunk
  end
  err = err or after_boundary(self)
  if err then
    return nil, nil, err
  end
  return "part_end"
end

function steps.header(self)
  local text, err = line(self)
  if not text then
    return nil, nil, err
  end
  if text == "" then
    self.step = "body"
    return steps.body(self)
  end
  local key, value = match(text, "^([^: \t]+)%s*:%s*(.+)")
  if not key then
    return "header", text
  end
  return "header", { key, value, text }
end

function steps.preamble(self)
  local data, err
  repeat
    data, err = self.to_first(self.size)
  until not data
  err = err or after_boundary(self)
  if err then
    return nil, nil, err
  end
  return steps[self.step](self)
end

function steps.eof()
  return "eof"
end

function upload:read()
  if not self.sock then
    return nil, nil, "not initialized"
  end
  return steps[self.step](self)
end

return upload
