-- DNS messages (RFC 1035) for resty.dns.resolver: questions out, answers in.
local bit = require "bit"
local byte, char, concat, sub = string.byte, string.char, table.concat, string.sub
local find, format, gsub = string.find, string.format, string.gsub
local band, lshift, rshift = bit.band, bit.lshift, bit.rshift
local error, pcall, type = error, pcall, type
local log, DEBUG = ngx.log, ngx.DEBUG

local wire = {
  TYPE_A = 1, TYPE_NS = 2, TYPE_CNAME = 5, TYPE_SOA = 6, TYPE_PTR = 12, TYPE_MX = 15,
  TYPE_TXT = 16, TYPE_AAAA = 28, TYPE_SRV = 33, TYPE_SPF = 99,
  CLASS_IN = 1,
  SECTION_AN = 1, SECTION_NS = 2, SECTION_AR = 3,
}

local ERRORS = { "format error", "server failure", "name error", "not implemented", "refused" }
local HEADER_SIZE = 12
-- A message has at most 64 KB: more pointers than this go in a circle.
local POINTERS_MAX = 128

-- What a reader raises when a message is wrong; caught in `parse`.
local function give_up(text)
  error({ text = text }, 0)
end

local function u16(buf, pos)
  local a, b = byte(buf, pos, pos + 1)
  if not b then
    give_up "truncated"
  end
  return a * 256 + b, pos + 2
end

local function u32(buf, pos)
  local high, low
  high, pos = u16(buf, pos)
  low, pos = u16(buf, pos)
  return high * 65536 + low, pos
end

-- A name and the position after it; what a pointer leads to stands elsewhere.
local function name_at(buf, pos)
  local labels, after, pointers = {}, nil, 0
  while true do
    local length = byte(buf, pos)
    if not length then
      give_up "truncated"
    end
    if length == 0 then
      return concat(labels, "."), after or pos + 1
    end
    if length >= 192 then
      local to = u16(buf, pos)
      after, pos = after or pos + 2, band(to, 0x3fff) + 1
      pointers = pointers + 1
      if pointers > POINTERS_MAX then
        give_up "truncated"
      end
    else
      local label = sub(buf, pos + 1, pos + length)
      if #label < length then
        give_up "truncated"
      end
      labels[#labels + 1] = label
      pos = pos + 1 + length
    end
  end
end

-- Readers of record data by type: (record, message, position, length of the data).
local data = {}

local function check_length(what, used, length)
  if used ~= length then
    give_up(format("bad %s record length: %d ~= %d", what, used, length))
  end
end

local function name_reader(field)
  return function(record, buf, pos, length)
    local after
    record[field], after = name_at(buf, pos)
    check_length("cname", after - pos, length)
  end
end

data[wire.TYPE_CNAME] = name_reader "cname"
data[wire.TYPE_NS] = name_reader "nsdname"
data[wire.TYPE_PTR] = name_reader "ptrdname"

data[wire.TYPE_A] = function(record, buf, pos, length)
  if length ~= 4 then
    give_up("bad A record value length: " .. length)
  end
  local a, b, c, d = byte(buf, pos, pos + 3)
  if not d then
    give_up "truncated"
  end
  record.address = a .. "." .. b .. "." .. c .. "." .. d
end

data[wire.TYPE_AAAA] = function(record, buf, pos, length)
  if length ~= 16 then
    give_up("bad AAAA record value length: " .. length)
  end
  local groups = {}
  for i = 1, 8 do
    groups[i] = format("%x", (u16(buf, pos + 2 * i - 2)))
  end
  record.address = concat(groups, ":")
end

data[wire.TYPE_MX] = function(record, buf, pos, length)
  if length < 3 then
    give_up("bad MX record value length: " .. length)
  end
  local after
  record.preference, after = u16(buf, pos)
  record.exchange, after = name_at(buf, after)
  check_length("cname", after - pos, length)
end

data[wire.TYPE_SRV] = function(record, buf, pos, length)
  if length < 7 then
    give_up("bad SRV record value length: " .. length)
  end
  local after
  record.priority, after = u16(buf, pos)
  record.weight, after = u16(buf, after)
  record.port, after = u16(buf, after)
  record.target, after = name_at(buf, after)
  check_length("srv", after - pos, length)
end

-- One text, or a list when there are several. A text longer than the record is cut.
local function text_reader(field)
  return function(record, buf, pos, length)
    local texts, last = {}, pos + length
    while pos < last do
      local size = byte(buf, pos) or 0
      if pos + 1 + size > last then
        size = last - pos - 1
      end
      texts[#texts + 1] = sub(buf, pos + 1, pos + size)
      pos = pos + 1 + size
    end
    record[field] = #texts > 1 and texts or texts[1] or ""
  end
end

data[wire.TYPE_TXT] = text_reader "txt"
data[wire.TYPE_SPF] = text_reader "spf"

data[wire.TYPE_SOA] = function(record, buf, pos)
  record.mname, pos = name_at(buf, pos)
  record.rname, pos = name_at(buf, pos)
  for _, field in ipairs { "serial", "refresh", "retry", "expire", "minimum" } do
    record[field], pos = u32(buf, pos)
  end
end

local function record_at(buf, pos, section)
  local record = { section = section }
  local length
  record.name, pos = name_at(buf, pos)
  record.type, pos = u16(buf, pos)
  record.class, pos = u16(buf, pos)
  record.ttl, pos = u32(buf, pos)
  length, pos = u16(buf, pos)
  local read = data[record.type]
  if read then
    read(record, buf, pos, length)
  else
    record.rdata = sub(buf, pos, pos + length - 1)
  end
  return record, pos + length
end

local function section_at(answers, buf, pos, count, section, is_wanted)
  for _ = 1, count do
    local record
    record, pos = record_at(buf, pos, section)
    if is_wanted then
      answers[#answers + 1] = record
    end
  end
  return pos
end

local function question_at(buf, pos)
  local _, class
  _, pos = name_at(buf, pos)
  if pos + 3 > #buf then
    give_up "truncated"
  end
  class = u16(buf, pos + 2)
  if class ~= wire.CLASS_IN then
    give_up(format("unknown query class %d in DNS response", class))
  end
  return pos + 4
end

-- The sections that were asked for, of a reply to `id`.
local function reply(buf, id, opts)
  if #buf < HEADER_SIZE then
    give_up "truncated"
  end
  local seen = u16(buf, 1)
  if seen ~= id then
    log(DEBUG, "id mismatch in the DNS reply: ", seen, " ~= ", id)
    give_up "id mismatch"
  end
  local flags = u16(buf, 3)
  if band(flags, 0x8000) == 0 then
    give_up "bad QR flag in the DNS response"
  end
  if band(flags, 0x200) ~= 0 then
    give_up "truncated"
  end
  local questions = u16(buf, 5)
  if questions ~= 1 then
    give_up("bad number of questions in DNS response: " .. questions)
  end
  local answers, code = {}, band(flags, 0xf)
  if code ~= 0 then
    answers.errcode, answers.errstr = code, ERRORS[code] or "unknown"
  end
  local wants_authority = opts and (opts.authority_section or opts.qtype == wire.TYPE_SOA)
  local wants_more = opts and opts.additional_section
  local pos = question_at(buf, HEADER_SIZE + 1)
  pos = section_at(answers, buf, pos, u16(buf, 7), wire.SECTION_AN, true)
  if wants_authority or wants_more then
    pos = section_at(answers, buf, pos, u16(buf, 9), wire.SECTION_NS, wants_authority)
  end
  if wants_more then
    section_at(answers, buf, pos, u16(buf, 11), wire.SECTION_AR, true)
  end
  return answers
end

function wire.parse(buf, id, opts)
  local ok, res = pcall(reply, buf, id, opts)
  if ok then
    return res
  end
  if type(res) ~= "table" then
    error(res, 0)
  end
  return nil, res.text
end

local function pair(number)
  return char(band(rshift(number, 8), 255), band(number, 255))
end

-- A question as bytes.
function wire.question(name, id, no_recurse, opts)
  if byte(name, 1) == 46 then
    return nil, "bad name"
  end
  local labels = gsub(name, "([^.]+)%.?", function(label)
    return char(#label % 256) .. label
  end)
  local flags = no_recurse and 0 or lshift(1, 8)
  local qtype = opts and opts.qtype or wire.TYPE_A
  return concat {
    pair(id), pair(flags), pair(1), pair(0), pair(0), pair(0),
    labels, "\0", pair(qtype), pair(wire.CLASS_IN),
  }
end

-- The first run of zero groups becomes "::".
function wire.compress_ipv6_addr(address)
  local groups, from, to = {}, nil, nil
  for group in string.gmatch(address, "[^:]+") do
    local i = #groups + 1
    groups[i] = group
    if group == "0" and (not from or to == i - 1) then
      from, to = from or i, i
    end
  end
  if not from or find(address, "::", 1, true) then
    return address
  end
  return concat(groups, ":", 1, from - 1) .. "::" .. concat(groups, ":", to + 1)
end

function wire.expand_ipv6_addr(address)
  local at = find(address, "::", 1, true)
  if not at then
    return address
  end
  local _, colons = gsub(address, ":", "")
  local before, after = sub(address, 1, at - 1), sub(address, at + 2)
  local zeros = string.rep("0:", 8 - colons)
  return (before == "" and "0" or before) .. ":" .. zeros .. (after == "" and "0" or after)
end

-- The name under which the reverse of an address is asked for.
function wire.arpa_str(address)
  if not find(address, ":", 1, true) then
    local a, b, c, d = string.match(address, "^(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)$")
    if not a then
      return address
    end
    return d .. "." .. c .. "." .. b .. "." .. a .. ".in-addr.arpa"
  end
  local digits = gsub(wire.expand_ipv6_addr(address), "[^:]+", function(group)
    return string.rep("0", 4 - #group) .. group
  end)
  digits = string.reverse((gsub(digits, ":", "")))
  return gsub(digits, ".", "%0.") .. "ip6.arpa"
end

return wire
