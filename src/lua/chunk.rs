//! Code: loaded once, named as OpenResty names it, cached by its place in the configuration.
//!
//! ```text
//!   inline  "=content_by_lua(nginx.conf:40)"      file  "@/path/to/file.lua"
//! ```

use std::fs;
use std::path::Path;
use std::rc::Rc;

use super::raw::Func;
use super::vm::Vm;

/// Code of one `*_by_lua*` directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// Text from the configuration with its chunk name.
    Inline { name: String, text: Vec<u8> },
    /// A path, resolved against the prefix.
    File(String),
}

/// Why code could not be loaded.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LoadError {
    /// The file cannot be read: nginx answers 404 for content, Lua's words are kept.
    #[error("cannot open {0}")]
    Missing(String),
    #[error("{0}")]
    Syntax(String),
}

impl Code {
    /// The compiled function; from the cache unless the code cache is off.
    pub fn load(&self, vm: &Vm) -> Result<Rc<Func>, LoadError> {
        let key = match self {
            Self::Inline { name, .. } => name.clone(),
            Self::File(path) => format!("@{path}"),
        };
        if let Some(known) = vm.chunks.borrow().get(&key) {
            return Ok(Rc::clone(known));
        }
        let func = Rc::new(self.compile(vm)?);
        vm.chunks.borrow_mut().insert(key, Rc::clone(&func));
        Ok(func)
    }

    fn compile(&self, vm: &Vm) -> Result<Func, LoadError> {
        let loaded = match self {
            Self::Inline { name, text } => vm.host.load(text, name),
            Self::File(path) => {
                let text = fs::read(path).map_err(|_| LoadError::Missing(path.clone()))?;
                vm.host.load(without_shebang(&text), &format!("@{path}"))
            }
        };
        loaded.map_err(LoadError::Syntax)
    }
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

/// What fits into LuaJIT's `short_src` beside `=(:)`.
const NAME_MAX: usize = 56;
