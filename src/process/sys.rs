//! [unsafe] What a process asks of the kernel and libc: fork, signals, users, limits, title.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::ptr;

pub use libc::{SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};

/// Which side of a fork this is.
pub enum Fork {
    Parent,
    Child,
}

/// Splits the process. Must be called before any thread exists.
pub fn fork() -> io::Result<Fork> {
    // SAFETY: callers fork before they start threads, so the child's copy is whole.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        _ => Ok(Fork::Parent),
    }
}

/// Leaves the terminal and clears the umask, as nginx's daemon does.
pub fn new_session() -> io::Result<()> {
    // SAFETY: no memory is involved.
    let rc = unsafe { libc::setsid() };
    // SAFETY: no memory is involved.
    unsafe { libc::umask(0) };
    if rc == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is involved.
    match unsafe { libc::kill(pid, signal) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal { number: i32, core: bool },
}

/// Takes the status of a child that has ended, if one has.
pub fn reap() -> Option<(i32, Exit)> {
    let mut status = 0;
    // SAFETY: `status` is a live int.
    let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
    if pid <= 0 {
        return None;
    }
    let exit = if libc::WIFSIGNALED(status) {
        Exit::Signal { number: libc::WTERMSIG(status), core: libc::WCOREDUMP(status) }
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    };
    Some((pid, exit))
}

/// Signals as readable events, for a process without an event loop of its own.
pub struct Signals(OwnedFd);

impl Signals {
    /// Blocks the signals and opens a descriptor that tells of them.
    pub fn open(numbers: &[i32]) -> io::Result<Self> {
        // SAFETY: sigset_t is plain data, filled by sigemptyset before use.
        let fd = unsafe {
            let mut set: libc::sigset_t = mem::zeroed();
            libc::sigemptyset(&mut set);
            for n in numbers {
                libc::sigaddset(&mut set, *n);
            }
            libc::sigprocmask(libc::SIG_BLOCK, &set, ptr::null_mut());
            libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if fd == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: signalfd just gave us this descriptor.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next signal that came, with the process that sent it.
    pub fn next(&self) -> Option<(i32, u32)> {
        // SAFETY: signalfd_siginfo is plain data of the size passed to read.
        unsafe {
            let mut info: libc::signalfd_siginfo = mem::zeroed();
            let size = mem::size_of_val(&info);
            let got = libc::read(self.0.as_raw_fd(), (&raw mut info).cast(), size);
            (got == size as isize).then_some((info.ssi_signo as i32, info.ssi_pid))
        }
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Lets the process live on when it gets signals it has no use for, as nginx does. With `restart`
/// system calls that wait go on after one, else they end with EINTR.
pub fn pass_over_signals(restart: bool) {
    extern "C" fn nothing(_number: libc::c_int) {}
    // SAFETY: sigaction is plain data; the handler does nothing, so it may run at any time.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        action.sa_flags = if restart { libc::SA_RESTART } else { 0 };
        for number in [libc::SIGALRM, libc::SIGIO] {
            libc::sigaction(number, &action, ptr::null_mut());
        }
    }
}

/// Lets every signal through. The mask of a master is inherited over exec: a worker calls this
/// when it has handlers, so that none of its master's signals is lost or kills it.
pub fn unblock_signals() {
    // SAFETY: sigset_t is plain data filled by sigemptyset.
    unsafe {
        let mut none: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
    }
}

/// Gives back to the faults their default: death with a core. Rust catches SIGSEGV to tell of
/// stack overflows and would ignore the first one that another process sends.
pub fn die_of_faults() {
    // SAFETY: SIG_DFL needs no handler code.
    unsafe {
        libc::signal(libc::SIGSEGV, libc::SIG_DFL);
        libc::signal(libc::SIGBUS, libc::SIG_DFL);
    }
}

/// Waits until one of the descriptors can be read or the time is over (`None`: for ever).
pub fn wait_readable(fds: &[RawFd], timeout_ms: Option<u64>) -> Vec<bool> {
    let mut polled: Vec<libc::pollfd> =
        fds.iter().map(|&fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
    let timeout = timeout_ms.map_or(-1, |ms| i32::try_from(ms).unwrap_or(i32::MAX));
    // SAFETY: the array is live and its length is passed.
    let rc = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout) };
    polled.iter().map(|p| rc > 0 && p.revents != 0).collect()
}

/// A user or group the worker becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub user: CString,
    pub uid: u32,
    pub gid: u32,
}

/// A file that lives in memory as long as somebody holds it open.
pub fn memory_file(name: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the name is NUL-terminated; the result is checked.
    match unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: a new descriptor that nobody else owns.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

pub fn is_root() -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::geteuid() == 0 }
}

/// Looks up a user: its number and its group. `Ok(None)` when there is no such user.
pub fn user(name: &[u8]) -> io::Result<Option<(u32, u32)>> {
    let name = CString::new(name)?;
    // SAFETY: called at load time from one thread; the static result is copied at once.
    unsafe {
        let entry = libc::getpwnam(name.as_ptr());
        Ok((!entry.is_null()).then(|| ((*entry).pw_uid, (*entry).pw_gid)))
    }
}

/// Looks up a group.
pub fn group(name: &[u8]) -> io::Result<Option<u32>> {
    let name = CString::new(name)?;
    // SAFETY: as above.
    unsafe {
        let entry = libc::getgrnam(name.as_ptr());
        Ok((!entry.is_null()).then(|| (*entry).gr_gid))
    }
}

/// Gives up root for the calling thread and the threads it starts, not for the whole process.
///
/// libc's wrappers change every thread; the raw calls change one. The thread that reads
/// configurations stays root, because it must open keys and logs again on a reload. As in nginx, a
/// failure to set the groups, which is told, does not keep the worker from running.
pub fn become_on_this_thread(
    who: &Identity,
) -> Result<Option<io::Error>, (&'static str, io::Error)> {
    let mut groups: [libc::gid_t; GROUPS_MAX] = [0; GROUPS_MAX];
    let mut count = GROUPS_MAX as i32;
    // SAFETY: `groups` has room for `count` entries; `user` is NUL-terminated.
    let found =
        unsafe { libc::getgrouplist(who.user.as_ptr(), who.gid, groups.as_mut_ptr(), &mut count) };
    let known = if found < 0 { 1 } else { count.clamp(0, GROUPS_MAX as i32) as usize };
    if found < 0 {
        groups[0] = who.gid;
    }
    let mut without_groups = None;
    // SAFETY: raw system calls with live arguments of the sizes they expect.
    unsafe {
        if libc::syscall(libc::SYS_setresgid, who.gid, who.gid, who.gid) == -1 {
            return Err(("setgid", io::Error::last_os_error()));
        }
        if libc::syscall(libc::SYS_setgroups, known, groups.as_ptr()) == -1 {
            without_groups = Some(io::Error::last_os_error());
        }
        if libc::syscall(libc::SYS_setresuid, who.uid, who.uid, who.uid) == -1 {
            return Err(("setuid", io::Error::last_os_error()));
        }
    }
    Ok(without_groups)
}

/// A limit of the process.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    OpenFiles,
    CoreSize,
}

/// Sets the soft and the hard limit.
pub fn set_limit(limit: Limit, value: u64) -> io::Result<()> {
    let resource = match limit {
        Limit::OpenFiles => libc::RLIMIT_NOFILE,
        Limit::CoreSize => libc::RLIMIT_CORE,
    };
    let both = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: `both` is a live rlimit.
    match unsafe { libc::setrlimit(resource, &both) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Sets the scheduling priority of the process.
pub fn set_priority(value: i32) -> io::Result<()> {
    // SAFETY: no memory is involved.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Replaces the whole environment. Must be called before any thread exists.
pub fn replace_env(vars: &[(OsString, OsString)]) {
    // SAFETY: callers do this before they start threads, so nobody reads it meanwhile.
    unsafe {
        for (name, _) in std::env::vars_os() {
            std::env::remove_var(name);
        }
        for (name, value) in vars {
            std::env::set_var(name, value);
        }
    }
}

/// Makes `ps` show `title`. Must be called before any thread exists.
///
/// The kernel shows the memory where the arguments and the environment were laid down at exec, so
/// the environment moves to the heap first, as nginx does.
pub fn set_title(title: &OsStr) {
    let Some((start, end)) = title_room() else { return };
    move_environment();
    let room = end - start;
    let mut text = title.as_bytes().to_vec();
    text.truncate(room.saturating_sub(1));
    text.resize(room, 0);
    // SAFETY: start..end is the argument and environment area of our own stack, writable for the
    // life of the process; nothing points into it any more: Rust copies arguments when asked and
    // the environment was moved.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), start as *mut u8, room) };
}

/// The area of arguments and environment, from the kernel's own table.
fn title_room() -> Option<(usize, usize)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat[stat.rfind(')')? + 2..].split(' ').collect();
    // Fields 48 to 51 of proc(5), counted after "pid (comm) ".
    let at = |field: usize| fields.get(field - 3)?.trim().parse::<usize>().ok();
    let (arg_start, arg_end, env_start, env_end) = (at(48)?, at(49)?, at(50)?, at(51)?);
    let end = if env_start == arg_end { env_end } else { arg_end };
    (arg_start != 0 && end > arg_start).then_some((arg_start, end))
}

fn move_environment() {
    let vars: Vec<_> = std::env::vars_os().collect();
    // SAFETY: before threads exist (see `set_title`). clearenv drops the table, not the strings;
    // setting each variable again copies it to the heap.
    unsafe { libc::clearenv() };
    for (name, value) in vars {
        // SAFETY: before threads exist.
        unsafe { std::env::set_var(name, value) };
    }
}

/// The name of this machine.
pub fn hostname() -> OsString {
    let mut buf = [0u8; 256];
    // SAFETY: the buffer is live and one byte is kept for the NUL.
    let rc = unsafe { libc::gethostname(buf.as_mut_ptr().cast(), buf.len() - 1) };
    let name = CStr::from_bytes_until_nul(&buf).unwrap_or_default();
    if rc == -1 { OsString::new() } else { OsString::from_vec(name.to_bytes().to_vec()) }
}

const GROUPS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups() {
        assert_eq!(user(b"root").unwrap(), Some((0, 0)));
        assert_eq!(user(b"no-such-user-here").unwrap(), None);
        assert_eq!(group(b"root").unwrap(), Some(0));
    }

    #[test]
    fn the_title_area_is_found() {
        let (start, end) = title_room().expect("proc is there");
        assert!(end > start);
    }
}
