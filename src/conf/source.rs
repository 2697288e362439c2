//! The files of a configuration: their text, their names, and who included whom.
//!
//! ```text
//!  nginx.conf ──include──▶ conf.d/a.conf      FileId 0 ▶ 1      a file included twice has two ids
//! ```

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice};

/// One reading of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u32);

/// All files that were read, in the order of reading.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// Adds a file; without a name it is the `-g` parameter.
    pub fn add(
        &mut self,
        name: Option<BString>,
        text: impl Into<Arc<[u8]>>,
        included_from: Option<(FileId, u32)>,
    ) -> FileId {
        self.files.push(Source { name, text: text.into(), included_from });
        FileId(u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX))
    }

    /// The name for messages; none for the command line.
    pub fn name(&self, file: FileId) -> Option<String> {
        self.raw_name(file).map(|name| name.to_str_lossy().into_owned())
    }

    pub fn raw_name(&self, file: FileId) -> Option<&BStr> {
        self.file(file)?.name.as_ref().map(|name| name.as_bstr())
    }

    /// The whole text of a file.
    pub fn text(&self, file: FileId) -> &[u8] {
        self.file(file).map_or(&[], |source| &source.text)
    }

    /// The same, to be kept while more files are added.
    pub fn shared_text(&self, file: FileId) -> Arc<[u8]> {
        self.file(file).map_or_else(|| Arc::from([]), |source| source.text.clone())
    }

    /// The file and line of the `include` that brought this file in.
    pub fn included_from(&self, file: FileId) -> Option<(FileId, u32)> {
        self.file(file)?.included_from
    }

    /// Named files, each once, in the order of reading.
    pub fn distinct(&self) -> impl Iterator<Item = (&BStr, &[u8])> {
        let first = |at: usize, name: &BString| {
            !self.files[..at].iter().any(|earlier| earlier.name.as_ref() == Some(name))
        };
        self.files.iter().enumerate().filter_map(move |(at, source)| {
            let name = source.name.as_ref().filter(|name| first(at, name))?;
            Some((name.as_bstr(), &*source.text))
        })
    }

    fn file(&self, file: FileId) -> Option<&Source> {
        self.files.get(file.0 as usize)
    }
}

#[derive(Clone, Debug)]
struct Source {
    name: Option<BString>,
    text: Arc<[u8]>,
    included_from: Option<(FileId, u32)>,
}

/// A name from a configuration as a path.
pub fn path(name: &BStr) -> &Path {
    Path::new(OsStr::from_bytes(name.as_bytes()))
}
