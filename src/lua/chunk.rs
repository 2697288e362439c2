//! Code: loaded once, named as OpenResty names it, cached by its place in the configuration.
//!
//! ```text
//!   inline  "=content_by_lua(nginx.conf:40)"      file  "@/path/to/file.lua"
//! ```

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::raw::Func;
use super::vm::Vm;
use crate::base::errno;
use crate::http::Request;
use crate::http::template::Template;

/// Code of one `*_by_lua*` directive.
#[derive(Debug)]
pub struct Script {
    /// The key in a VM's cache of compiled code.
    id: u64,
    pub code: Code,
}

#[derive(Debug)]
pub enum Code {
    /// Text from the configuration with its chunk name.
    Inline { name: String, text: Vec<u8> },
    /// A path, which may contain variables.
    File(Template),
}

/// Why code could not be loaded.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LoadError {
    /// A content handler answers 404 then.
    #[error("failed to load external Lua file \"{path}\": {message}")]
    Missing { path: String, message: String },
    #[error("failed to load external Lua file \"{path}\": {message}")]
    File { path: String, message: String },
    #[error("failed to load inlined Lua code: {0}")]
    Inline(String),
}

impl Script {
    pub fn new(code: Code) -> Self {
        Self { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), code }
    }

    /// The directive in messages: with `_file` for a file, never with `_block`.
    pub fn words(&self, directive: &'static str) -> Cow<'static, str> {
        match &self.code {
            Code::Inline { .. } => Cow::Borrowed(directive),
            Code::File(_) => Cow::Owned(format!("{directive}_file")),
        }
    }

    /// The compiled function, from the VM's cache if it has been used before.
    pub fn load(&self, vm: &Vm, r: Option<&Rc<Request>>) -> Result<Rc<Func>, LoadError> {
        match &self.code {
            Code::Inline { name, text } => cached(vm, Key::Inline(self.id), || {
                vm.host.load(text, name).map_err(LoadError::Inline)
            }),
            Code::File(path) => {
                let path = r.map_or_else(|| path.text.clone(), |r| path.eval(r));
                let path = String::from_utf8_lossy(&path).into_owned();
                let path = Path::new(&vm.worker.settings.prefix).join(path);
                let path = path.to_string_lossy().into_owned();
                cached(vm, Key::File(path.clone()), || load_file(vm, &path))
            }
        }
    }
}

/// What compiled code is found again by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    Inline(u64),
    File(String),
}

fn cached(
    vm: &Vm,
    key: Key,
    compile: impl FnOnce() -> Result<Func, LoadError>,
) -> Result<Rc<Func>, LoadError> {
    if let Some(known) = vm.chunks.borrow().get(&key) {
        return Ok(Rc::clone(known));
    }
    let func = Rc::new(compile()?);
    vm.chunks.borrow_mut().insert(key, Rc::clone(&func));
    Ok(func)
}

fn load_file(vm: &Vm, path: &str) -> Result<Func, LoadError> {
    let text = fs::read(path).map_err(|e| {
        let message = format!("cannot open {path}: {}", errno::text(&e));
        LoadError::Missing { path: path.to_owned(), message }
    })?;
    let name = format!("@{path}");
    let loaded = vm.host.load(without_shebang(&text), &name);
    loaded.map_err(|message| LoadError::File { path: path.to_owned(), message })
}

/// The chunk name of inline code: directive without `_block`, file and line.
///
/// The file is shown relative to the configuration's folder, `nginx.conf` always by its bare name;
/// a name over LuaJIT's limit loses its beginning.
pub fn inline_name(directive: &str, file: &Path, conf_prefix: &Path, line: usize) -> String {
    let tag = directive.trim_end_matches("_block");
    let full = file.to_string_lossy();
    let reserved = tag.len() + line.to_string().len();
    let bare = full.ends_with("/nginx.conf").then_some("nginx.conf".into());
    let shown = bare.unwrap_or_else(|| match file.strip_prefix(conf_prefix) {
        Ok(relative) => relative.to_string_lossy(),
        Err(_) => full.clone(),
    });
    if shown.len() + reserved <= NAME_MAX {
        return format!("={tag}({shown}:{line})");
    }
    let cut = (shown.len() + reserved + 3).saturating_sub(NAME_MAX).min(shown.len());
    let cut = (cut..=shown.len()).find(|&i| shown.is_char_boundary(i)).unwrap_or(shown.len());
    format!("={tag}(...{}:{line})", &shown[cut..])
}

/// Lua's own loader of files skips a first line that begins with `#`.
fn without_shebang(text: &[u8]) -> &[u8] {
    if text.first() != Some(&b'#') {
        return text;
    }
    // The line end stays, so that line numbers in messages are right.
    text.iter().position(|&b| b == b'\n').map_or(&[], |end| &text[end..])
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// What fits into LuaJIT's `short_src` beside `=(:)`.
const NAME_MAX: usize = 56;
