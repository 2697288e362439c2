-- ngx.re.match, find, gmatch, sub, gsub, and the module ngx.re
local B = ...
local N, F, re = B.N, B.F, B.ngx.re
local ffi = require "ffi"
local new_tab = require "table.new"
local type, tostring, error, setmetatable = type, tostring, error, setmetatable
local sub, find, byte, concat, max = string.sub, string.find, string.byte, table.concat, math.max
local compile, exec, free = N["re.compile"], F.re_exec, F.re_free

ffi.cdef "typedef struct { double id; } moonbeat_regex;"
local handle = ffi.metatype("moonbeat_regex", { __gc = function(h) free(h.id) end })

-- Compiled patterns by options and pattern. OpenResty keeps only those with "o"; nobody can tell.
local CACHE_MAX = 1024
local cache, cache_size = {}, 0

local function compiled(pattern, opts)
  pattern, opts = tostring(pattern), opts or ""
  local by_opts = cache[opts]
  local known = by_opts and by_opts[pattern]
  if known then
    return known
  end
  local id, groups, names = compile(pattern, opts)
  if not id then
    return nil, groups
  end
  local is_dfa = find(opts, "d", 1, true) ~= nil
  -- The DFA matcher knows the whole match only.
  groups, names = is_dfa and 0 or groups, not is_dfa and names or nil
  local regex = {
    handle = handle(id),
    groups = groups,
    names = names,
    room = 2 * (groups + 1),
    spans = ffi.new("int32_t[?]", 2 * (groups + 1)),
    is_dfa = is_dfa,
    has_duplicates = find(opts, "D", 1, true) ~= nil,
  }
  if cache_size >= CACHE_MAX then
    cache, cache_size = {}, 0
  end
  cache[opts] = cache[opts] or {}
  cache[opts][pattern] = regex
  cache_size = cache_size + 1
  return regex
end

-- The number of groups that may be set, false for no match, or nil and the error. Offsets are
-- written for `room` numbers, or for all groups.
local function run(regex, subject, from, room)
  local rc = exec(regex.handle.id, subject, #subject, from, regex.spans, room or regex.room)
  if rc == -1 then
    return false
  end
  if rc < 0 then
    return nil, "pcre_exec() failed: " .. rc
  end
  if rc == 0 then
    if not regex.is_dfa then
      return nil, "capture size too small"
    end
    return 1
  end
  return rc
end

local function collect_names(regex, res)
  local names = regex.names
  for i = 1, #names, 2 do
    local name, value = names[i], res[names[i + 1]]
    if not regex.has_duplicates then
      res[name] = value
    elseif value then
      local list = res[name]
      if list then
        list[#list + 1] = value
      else
        res[name] = { value }
      end
    end
  end
end

local function collect(regex, rc, subject, res)
  local spans = regex.spans
  res = res or new_tab(regex.groups, regex.names and #regex.names / 2 or 0)
  for i = 0, regex.groups do
    if i < rc and spans[2 * i] >= 0 then
      res[i] = sub(subject, spans[2 * i] + 1, spans[2 * i + 1])
    else
      res[i] = false
    end
  end
  if regex.names then
    collect_names(regex, res)
  end
  return res
end

local function start_of(ctx)
  local pos = ctx and ctx.pos
  return pos and pos > 0 and pos - 1 or 0
end

function re.match(subject, pattern, opts, ctx, res)
  subject = tostring(subject)
  local regex, err = compiled(pattern, opts)
  if not regex then
    return nil, err
  end
  local rc
  rc, err = run(regex, subject, start_of(ctx))
  if rc == false then
    return nil
  end
  if not rc then
    return nil, err
  end
  if ctx then
    ctx.pos = regex.spans[1] + 1
  end
  return collect(regex, rc, subject, res)
end

function re.find(subject, pattern, opts, ctx, nth)
  subject = tostring(subject)
  local regex, err = compiled(pattern, opts)
  if not regex then
    return nil, nil, err
  end
  local rc
  rc, err = run(regex, subject, start_of(ctx), not nth and 2 or nil)
  if rc == false then
    return nil
  end
  if not rc then
    return nil, nil, err
  end
  local spans = regex.spans
  if ctx then
    ctx.pos = spans[1] + 1
  end
  nth = nth and nth >= 0 and nth or 0
  if nth > regex.groups then
    return nil, nil, "nth out of bound"
  end
  if nth >= rc or spans[2 * nth] < 0 then
    return nil, nil
  end
  return spans[2 * nth] + 1, spans[2 * nth + 1]
end

local function iterate(self)
  local pos, subject, regex = self.pos, self.subject, self.regex
  if not pos then
    return nil
  end
  local rc, err = run(regex, subject, pos)
  if not rc then
    self.pos = nil
    if err then
      return nil, err
    end
    return nil
  end
  local from, to = regex.spans[0], regex.spans[1]
  if from == to then
    to = to + 1
  end
  self.pos = to <= #subject and to or nil
  if from ~= regex.spans[1] then
    self.pos = to
  end
  return collect(regex, rc, subject)
end

local iterator = { __call = iterate }

function re.gmatch(subject, pattern, opts)
  subject = tostring(subject)
  local regex, err = compiled(pattern, opts)
  if not regex then
    return nil, err
  end
  return setmetatable({ pos = 0, subject = subject, regex = regex }, iterator)
end

-- A replacement with $1, ${1} and $$: pieces of text and group numbers; nil when it is malformed.
local function template(text)
  local pieces, at = {}, 1
  while true do
    local dollar = find(text, "$", at, true)
    pieces[#pieces + 1] = sub(text, at, (dollar or 0) - 1)
    if not dollar then
      return pieces
    end
    local digits = text:match("^%d+", dollar + 1)
    local braced = text:match("^{(%d+)}", dollar + 1)
    if byte(text, dollar + 1) == 36 then
      pieces[#pieces + 1] = "$"
      at = dollar + 2
    elseif digits then
      pieces[#pieces + 1] = tonumber(digits)
      at = dollar + 1 + #digits
    elseif braced then
      pieces[#pieces + 1] = tonumber(braced)
      at = dollar + 3 + #braced
    else
      return nil, N["re.bad_template"](text, dollar)
    end
  end
end

local function expand(pieces, regex, rc, subject, out)
  local spans = regex.spans
  for i = 1, #pieces do
    local piece = pieces[i]
    if type(piece) == "string" then
      out[#out + 1] = piece
    elseif piece < rc and spans[2 * piece] >= 0 then
      out[#out + 1] = sub(subject, spans[2 * piece] + 1, spans[2 * piece + 1])
    end
  end
end

local templates = setmetatable({}, { __mode = "k" })

local function pieces_of(replace)
  local known = templates[replace]
  if not known then
    known = template(replace)
    templates[replace] = known
  end
  return known
end

local function substitute(subject, pattern, replace, opts, global)
  subject = tostring(subject)
  local regex, err = compiled(pattern, opts)
  if not regex then
    return nil, nil, err
  end
  local pieces
  if type(replace) ~= "function" then
    pieces = pieces_of(tostring(replace))
    if not pieces then
      return nil, nil, "failed to compile the replacement template"
    end
  end
  local out, count, pos, copied = {}, 0, 0, 0
  repeat
    local rc
    rc, err = run(regex, subject, pos)
    if rc == nil then
      return nil, nil, err
    end
    if not rc then
      break
    end
    count = count + 1
    local from, to = regex.spans[0], regex.spans[1]
    out[#out + 1] = sub(subject, copied + 1, from)
    if pieces then
      expand(pieces, regex, rc, subject, out)
    else
      out[#out + 1] = tostring(replace(collect(regex, rc, subject)))
    end
    copied = to
    pos = from == to and to + 1 or to
  until not global or pos > #subject
  if count == 0 then
    return subject, 0
  end
  out[#out + 1] = sub(subject, copied + 1)
  return concat(out), count
end

function re.sub(subject, pattern, replace, opts)
  return substitute(subject, pattern, replace, opts, false)
end

function re.gsub(subject, pattern, replace, opts)
  return substitute(subject, pattern, replace, opts, true)
end

local module = { version = "0.1.31" }

-- One separator: where it begins and ends, and its first group.
local function next_separator(regex, subject, ctx)
  local rc, err = run(regex, subject, max(ctx.pos, 0))
  if not rc then
    return nil, nil, nil, err
  end
  local spans = regex.spans
  local from, to = spans[0], spans[1]
  ctx.pos = from == to and to + 1 or to
  local group = rc > 1 and spans[2] >= 0 and sub(subject, spans[2] + 1, spans[3]) or nil
  return from + 1, to + 1, group
end

local function finish_split(subject, res, n, start, limit)
  if limit <= 0 and start > #subject then
    while n > 0 and res[n] == "" do
      res[n] = nil
      n = n - 1
    end
  else
    n = n + 1
    res[n] = sub(subject, start)
  end
  res[n + 1] = nil
  return res
end

function module.split(subject, pattern, opts, ctx, limit, res)
  subject, limit = tostring(subject), limit or 0
  if res ~= nil and type(res) ~= "table" then
    error("res is not a table", 2)
  end
  ctx, res = ctx or {}, res or {}
  ctx.pos = ctx.pos or 1
  if ctx.pos > #subject then
    res[1] = nil
    return res
  end
  local regex, err = compiled(pattern, opts)
  if not regex then
    return nil, err
  end
  local start, n, pieces, last_empty = ctx.pos, 0, 1, nil
  ctx.pos = start - 1
  while limit <= 0 or pieces < limit do
    local from, to, group, failure = next_separator(regex, subject, ctx)
    if failure then
      return nil, failure
    end
    if not from then
      break
    end
    start = last_empty or start
    if from == to then
      last_empty = from
    end
    if from > start or not last_empty then
      pieces, n = pieces + 1, n + 1
      res[n] = sub(subject, start, from - 1)
      if group then
        n = n + 1
        res[n] = group
      end
      start = to
      if start > #subject then
        break
      end
    end
  end
  return finish_split(subject, res, n, start, limit)
end

function module.opt(option, value)
  if option ~= "jit_stack_size" then
    error("unrecognized option name", 2)
  end
  if cache_size > 0 then
    error("changing jit stack size is not allowed when some regexs have already been compiled and "
      .. "cached", 2)
  end
  N["re.set_jit_stack"](value)
end

B.module("ngx.re", module)
