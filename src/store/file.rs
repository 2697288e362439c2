//! Files that must be on the disk when a call returns.
//!
//! ```text
//!  replace(path, bytes):  path.new ─ write, fsync ─ rename ─▶ path      then: fsync of the folder
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A file only its owner reads: values may be secret.
pub fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Puts a new content in the place of a file; a crash leaves the old one or the new one. The new
/// one is sure to be found only after [`sync_folder_of`].
pub fn replace(path: &Path, content: &[u8]) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let fresh = Path::new(&name);
    let made = write_new(fresh, content).and_then(|file| fs::rename(fresh, path).map(|()| file));
    if made.is_err() {
        // On a full disk half a file would take the room of what comes next.
        let _ = fs::remove_file(fresh);
    }
    made
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<File> {
    let mut file = open_private(path)?;
    file.set_len(0)?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(file)
}

/// Makes names in the folder of a file durable.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
