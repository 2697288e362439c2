//! The one wrapper over PCRE2: `location ~`, `rewrite`, `map` and `ngx.re` all match here. [unsafe]
//!
//! ```text
//!   Regex::compile(pattern, Flags) ─▶ Regex (shared by threads)
//!   regex.exec(subject, from, limits, &mut spans) ─▶ PCRE2's answer: pairs set, -1, or an error
//!                 │
//!                 └─ match data, match context and JIT stack belong to the thread
//! ```

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use bstr::ByteSlice;
use pcre2_sys as ffi;
use thiserror::Error;

/// A compiled pattern.
#[derive(Debug)]
pub struct Regex {
    code: NonNull<ffi::pcre2_code_8>,
    flags: Flags,
    captures: usize,
    names: Vec<(Box<[u8]>, usize)>,
    /// Nothing has to be looked at before its machine code is run.
    runs_at_once: bool,
}

/// How a pattern is compiled: the letters of `ngx.re`, and nginx's `~*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    bits: u32,
    pub jit: bool,
    pub dfa: bool,
}

/// Where the whole match and the captures stand; a capture that took no part has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures {
    spans: Vec<Option<(usize, usize)>>,
}

/// Which limits hold while matching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limits {
    /// PCRE2's own: nginx's directives.
    Default,
    /// `lua_regex_match_limit` and the JIT stack of `ngx.re.opt`: Lua.
    Lua,
}

/// Why a pattern was refused, in the words of nginx and of ngx.re.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("pcre2_compile() failed: {message} in \"{pattern}\"{at}")]
pub struct CompileError {
    pub message: String,
    pub pattern: String,
    /// ` at "rest of the pattern"`, empty when the mistake is its end.
    pub at: String,
}

/// A match that could not be decided, by PCRE2's number.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("pcre_exec() failed: {0}")]
pub struct MatchError(pub i32);

// SAFETY: PCRE2 documents compiled code as read-only and usable by several threads at once, JIT
// code included; all that a match writes is in the thread's own `Scratch`.
unsafe impl Send for Regex {}
// SAFETY: as above.
unsafe impl Sync for Regex {}

impl Flags {
    pub const CASELESS: u32 = ffi::PCRE2_CASELESS;
    pub const MULTILINE: u32 = ffi::PCRE2_MULTILINE;
    pub const DOTALL: u32 = ffi::PCRE2_DOTALL;
    pub const EXTENDED: u32 = ffi::PCRE2_EXTENDED;
    pub const ANCHORED: u32 = ffi::PCRE2_ANCHORED;
    pub const UTF: u32 = ffi::PCRE2_UTF;
    /// UTF-8 without a check of the subject. Broken UTF-8 then matches nothing instead of being
    /// undefined behaviour as it is in OpenResty.
    pub const UTF_UNCHECKED: u32 = ffi::PCRE2_UTF | ffi::PCRE2_MATCH_INVALID_UTF;
    pub const DUPNAMES: u32 = ffi::PCRE2_DUPNAMES;
    pub const JAVASCRIPT: u32 =
        ffi::PCRE2_ALT_BSUX | ffi::PCRE2_ALLOW_EMPTY_CLASS | ffi::PCRE2_MATCH_UNSET_BACKREF;

    /// What nginx's own directives use; `~*` is caseless.
    pub fn nginx(caseless: bool) -> Self {
        Self { bits: if caseless { Self::CASELESS } else { 0 }, jit: true, dfa: false }
    }

    pub fn with(mut self, bits: u32) -> Self {
        self.bits |= bits;
        self
    }

    pub fn has(self, bits: u32) -> bool {
        self.bits & bits == bits
    }

    /// Reads the option letters of `ngx.re.*`. `o` concerns the caller's cache and is passed over.
    /// An unknown letter is the error.
    pub fn from_letters(letters: &[u8]) -> Result<Self, u8> {
        let mut flags = Self::default();
        for &letter in letters {
            flags.bits |= match letter {
                b'i' => Self::CASELESS,
                b'm' => Self::MULTILINE,
                b's' => Self::DOTALL,
                b'x' => Self::EXTENDED,
                b'a' => Self::ANCHORED,
                b'u' => Self::UTF,
                b'U' => Self::UTF_UNCHECKED,
                b'D' => Self::DUPNAMES,
                b'J' => Self::JAVASCRIPT,
                b'o' => 0,
                b'j' => {
                    flags.jit = true;
                    0
                }
                b'd' => {
                    flags.dfa = true;
                    0
                }
                other => return Err(other),
            };
        }
        Ok(flags)
    }

    /// The bits for PCRE2. The DFA matcher cannot work on broken UTF-8, it has to check.
    fn compile_bits(self) -> u32 {
        match self.dfa {
            true => self.bits & !ffi::PCRE2_MATCH_INVALID_UTF,
            false => self.bits,
        }
    }
}

impl Regex {
    pub fn compile(pattern: &[u8], flags: Flags) -> Result<Self, CompileError> {
        let (mut error, mut offset) = (0, 0);
        // SAFETY: pointer and length name `pattern`; the two results are valid for writing; a null
        // compile context asks for the defaults.
        let code = unsafe {
            ffi::pcre2_compile_8(
                pattern.as_ptr(),
                pattern.len(),
                flags.compile_bits(),
                &mut error,
                &mut offset,
                ptr::null_mut(),
            )
        };
        let code = NonNull::new(code).ok_or_else(|| compile_error(pattern, error, offset))?;
        let mut regex = Self { code, flags, captures: 0, names: Vec::new(), runs_at_once: false };
        if flags.jit {
            // A pattern that JIT cannot take is interpreted, as in nginx.
            // SAFETY: the code is live and no other thread has seen it yet.
            unsafe { ffi::pcre2_jit_compile_8(code.as_ptr(), ffi::PCRE2_JIT_COMPLETE) };
        }
        regex.captures = regex.info::<u32>(ffi::PCRE2_INFO_CAPTURECOUNT) as usize;
        regex.names = regex.read_names();
        regex.runs_at_once = regex.can_run_at_once(pattern);
        Ok(regex)
    }

    /// The number of capturing groups.
    pub fn capture_count(&self) -> usize {
        self.captures
    }

    /// Named groups with their numbers, by name; with duplicate names a name stands several times.
    pub fn names(&self) -> &[(Box<[u8]>, usize)] {
        &self.names
    }

    /// Matches and leaves the ovector in `spans`: start and end of each pair, `usize::MAX` when
    /// unset. The answer is PCRE2's: the highest pair set plus one, or an error (-1 is no match).
    /// The DFA matcher gives the longest match only, and 0 when there are others.
    pub fn exec(&self, subject: &[u8], from: usize, limits: Limits, spans: &mut Vec<usize>) -> i32 {
        self.exec_with(subject, from, limits, |offsets| {
            spans.clear();
            spans.extend_from_slice(offsets);
        })
    }

    /// The same; `see` looks at the offsets of a match where PCRE2 has them.
    #[inline]
    fn exec_with(
        &self,
        subject: &[u8],
        from: usize,
        limits: Limits,
        see: impl FnOnce(&[usize]),
    ) -> i32 {
        SCRATCH.with_borrow_mut(|scratch| self.exec_in(scratch, subject, from, limits, see))
    }

    /// The same with a scratch of the caller's.
    #[inline]
    pub fn exec_in(
        &self,
        scratch: &mut Scratch,
        subject: &[u8],
        from: usize,
        limits: Limits,
        see: impl FnOnce(&[usize]),
    ) -> i32 {
        let pairs = if self.flags.dfa { 1 } else { self.captures + 1 };
        let Some(data) = scratch.match_data(pairs) else {
            return ffi::PCRE2_ERROR_NOMEMORY;
        };
        let context = match limits {
            Limits::Default => ptr::null_mut(),
            Limits::Lua => scratch.lua_context(),
        };
        let answer = self.run(subject, from, data, context);
        if answer >= 0 {
            // SAFETY: the ovector of `data` has at least `pairs` pairs, all written by a match.
            see(unsafe { std::slice::from_raw_parts(scratch.offsets, pairs * 2) });
        }
        answer
    }

    /// Matches from the start under PCRE2's own limits.
    pub fn captures(&self, subject: &[u8]) -> Result<Option<Captures>, MatchError> {
        let mut spans = Vec::new();
        match self.exec(subject, 0, Limits::Default, &mut spans) {
            ffi::PCRE2_ERROR_NOMATCH => Ok(None),
            error if error < 0 => Err(MatchError(error)),
            _ => Ok(Some(Captures::from_ovector(&spans))),
        }
    }

    pub fn is_match(&self, subject: &[u8]) -> Result<bool, MatchError> {
        self.captures(subject).map(|found| found.is_some())
    }

    #[inline]
    fn run(
        &self,
        subject: &[u8],
        from: usize,
        data: *mut ffi::pcre2_match_data_8,
        context: *mut ffi::pcre2_match_context_8,
    ) -> i32 {
        let (code, text, len) = (self.code.as_ptr(), subject.as_ptr(), subject.len());
        if self.runs_at_once && from <= len {
            // SAFETY: as below; what PCRE2 would look at before is known: there is code of JIT, no
            // UTF-8 that could be broken, no option of the pattern's own, and the offset is inside.
            return unsafe { ffi::pcre2_jit_match_8(code, text, len, from, 0, data, context) };
        }
        if !self.flags.dfa {
            // SAFETY: code, data and context are live; pointer and length name `subject`; PCRE2
            // itself refuses an offset past the end.
            return unsafe { ffi::pcre2_match_8(code, text, len, from, 0, data, context) };
        }
        self.run_dfa(subject, from, data, context)
    }

    #[inline(never)]
    fn run_dfa(
        &self,
        subject: &[u8],
        from: usize,
        data: *mut ffi::pcre2_match_data_8,
        context: *mut ffi::pcre2_match_context_8,
    ) -> i32 {
        let (code, text, len) = (self.code.as_ptr(), subject.as_ptr(), subject.len());
        let mut workspace = [0; DFA_WORKSPACE];
        let (work, size) = (workspace.as_mut_ptr(), workspace.len());
        // SAFETY: as in `run`; the workspace is valid for its length.
        unsafe { ffi::pcre2_dfa_match_8(code, text, len, from, 0, data, context, work, size) }
    }

    /// `(*VERB)` at the start of a pattern can be an option of matching.
    fn can_run_at_once(&self, pattern: &[u8]) -> bool {
        let options = self.info::<u32>(ffi::PCRE2_INFO_ALLOPTIONS);
        self.flags.jit
            && !self.flags.dfa
            && options & ffi::PCRE2_UTF == 0
            && !pattern.starts_with(b"(*")
            && self.info::<usize>(ffi::PCRE2_INFO_JITSIZE) != 0
    }

    /// A property of the code that PCRE2 stores as a `T`.
    fn info<T: Default>(&self, what: u32) -> T {
        let mut value = T::default();
        // SAFETY: callers name the type PCRE2 documents for `what`; the code is live.
        unsafe {
            ffi::pcre2_pattern_info_8(self.code.as_ptr(), what, ptr::from_mut(&mut value).cast())
        };
        value
    }

    fn read_names(&self) -> Vec<(Box<[u8]>, usize)> {
        let count = self.info::<u32>(ffi::PCRE2_INFO_NAMECOUNT) as usize;
        let size = self.info::<u32>(ffi::PCRE2_INFO_NAMEENTRYSIZE) as usize;
        let table = self.info::<usize>(ffi::PCRE2_INFO_NAMETABLE) as *const u8;
        if count == 0 || table.is_null() {
            return Vec::new();
        }
        // SAFETY: the table has `count` entries of `size` bytes and lives as long as the code.
        let table = unsafe { std::slice::from_raw_parts(table, count * size) };
        // An entry: the number in two bytes, the name, a zero.
        let entry = |e: &[u8]| {
            let number = usize::from(e[0]) << 8 | usize::from(e[1]);
            let name = e[2..].split(|&c| c == 0).next().unwrap_or_default();
            (Box::from(name), number)
        };
        table.chunks_exact(size).map(entry).collect()
    }
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: the code is live and nobody else frees it.
        unsafe { ffi::pcre2_code_free_8(self.code.as_ptr()) };
    }
}

impl Captures {
    fn from_ovector(ovector: &[usize]) -> Self {
        let span = |pair: &[usize]| (pair[0] != ffi::PCRE2_UNSET).then(|| (pair[0], pair[1]));
        Self { spans: ovector.chunks_exact(2).map(span).collect() }
    }

    /// Group 0 is the whole match. `\K` can put a start behind its end; such a group is empty.
    pub fn text<'a>(&self, group: usize, subject: &'a [u8]) -> Option<&'a [u8]> {
        let (start, end) = (*self.spans.get(group)?)?;
        subject.get(start..end.max(start))
    }

    pub fn span(&self, group: usize) -> Option<(usize, usize)> {
        self.spans.get(group).copied().flatten()
    }

    /// The whole match counts.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

/// Sets `lua_regex_match_limit` for all threads; 0 means PCRE2's own.
pub fn set_lua_match_limit(limit: u32) {
    LUA_MATCH_LIMIT.store(limit, Ordering::Relaxed);
}

/// Sets the JIT stack of Lua's matches for all threads: `ngx.re.opt("jit_stack_size", n)`.
pub fn set_lua_jit_stack(size_bytes: usize) {
    LUA_JIT_STACK.store(size_bytes.max(JIT_STACK_MIN), Ordering::Relaxed);
}

/// PCRE2's version: `10.45 2025-02-05`.
pub fn version() -> String {
    let mut text = [0u8; 64];
    // SAFETY: PCRE2 writes its version, below 64 bytes with the zero.
    unsafe { ffi::pcre2_config_8(ffi::PCRE2_CONFIG_VERSION, text.as_mut_ptr().cast()) };
    text.split(|&c| c == 0).next().unwrap_or_default().to_str_lossy().into_owned()
}

/// What a thread needs to match; grows to the largest pattern it has met.
pub struct Scratch {
    data: *mut ffi::pcre2_match_data_8,
    /// The ovector of `data`.
    offsets: *const usize,
    pairs: usize,
    context: *mut ffi::pcre2_match_context_8,
    match_limit: u32,
    stack: *mut ffi::pcre2_jit_stack_8,
    stack_size: usize,
}

impl Scratch {
    pub const fn new() -> Self {
        Self {
            data: ptr::null_mut(),
            offsets: ptr::null(),
            pairs: 0,
            context: ptr::null_mut(),
            match_limit: 0,
            stack: ptr::null_mut(),
            stack_size: 0,
        }
    }

    #[inline]
    fn match_data(&mut self, pairs: usize) -> Option<*mut ffi::pcre2_match_data_8> {
        if self.data.is_null() || pairs > self.pairs {
            self.grow(pairs);
        }
        (!self.data.is_null()).then_some(self.data)
    }

    #[cold]
    fn grow(&mut self, pairs: usize) {
        // SAFETY: freeing accepts null; the old data is not used any more. New data has an ovector
        // for as long as it lives.
        unsafe {
            ffi::pcre2_match_data_free_8(self.data);
            self.data = ffi::pcre2_match_data_create_8(pairs as u32, ptr::null_mut());
            if !self.data.is_null() {
                self.offsets = ffi::pcre2_get_ovector_pointer_8(self.data);
            }
        }
        self.pairs = pairs;
    }

    /// The context with Lua's limits; null (the defaults) when none were ever set.
    #[inline]
    fn lua_context(&mut self) -> *mut ffi::pcre2_match_context_8 {
        let limit = LUA_MATCH_LIMIT.load(Ordering::Relaxed);
        let stack_size = LUA_JIT_STACK.load(Ordering::Relaxed);
        if limit != self.match_limit || stack_size != self.stack_size {
            self.renew_context(limit, stack_size);
        }
        self.context
    }

    #[cold]
    fn renew_context(&mut self, limit: u32, stack_size: usize) {
        // SAFETY: all objects were made by PCRE2 for this thread alone or are null, which the free
        // functions accept; a stack is replaced before the old one is freed.
        unsafe {
            ffi::pcre2_match_context_free_8(self.context);
            self.context = ffi::pcre2_match_context_create_8(ptr::null_mut());
            if !self.context.is_null() && limit > 0 {
                ffi::pcre2_set_match_limit_8(self.context, limit);
            }
            ffi::pcre2_jit_stack_free_8(self.stack);
            self.stack = ptr::null_mut();
            if !self.context.is_null() && stack_size > 0 {
                self.stack =
                    ffi::pcre2_jit_stack_create_8(JIT_STACK_MIN, stack_size, ptr::null_mut());
                ffi::pcre2_jit_stack_assign_8(self.context, None, self.stack.cast());
            }
        }
        self.match_limit = limit;
        self.stack_size = stack_size;
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: each object is this thread's own or null, which these functions accept.
        unsafe {
            ffi::pcre2_match_data_free_8(self.data);
            ffi::pcre2_match_context_free_8(self.context);
            ffi::pcre2_jit_stack_free_8(self.stack);
        }
    }
}

fn compile_error(pattern: &[u8], error: i32, offset: usize) -> CompileError {
    let mut text = [0u8; 128];
    // SAFETY: PCRE2 writes at most the given length, the closing zero included.
    unsafe { ffi::pcre2_get_error_message_8(error, text.as_mut_ptr(), text.len()) };
    let message = text.split(|&c| c == 0).next().unwrap_or_default();
    let rest = pattern.get(offset..).unwrap_or_default();
    let at = if rest.is_empty() { String::new() } else { format!(" at \"{}\"", rest.as_bstr()) };
    CompileError {
        message: message.to_str_lossy().into_owned(),
        pattern: pattern.to_str_lossy().into_owned(),
        at,
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = const {
        RefCell::new(Scratch::new())
    };
}

static LUA_MATCH_LIMIT: AtomicU32 = AtomicU32::new(0);
static LUA_JIT_STACK: AtomicUsize = AtomicUsize::new(0);
const JIT_STACK_MIN: usize = 32 * 1024;
/// OpenResty's; patterns that need more fail with -43 there and here.
const DFA_WORKSPACE: usize = 100;

#[cfg(test)]
mod tests;
