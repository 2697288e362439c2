//! [unsafe] Descriptors: passing over a unix socket, adopting inherited ones, raw socket options.

#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// Sends `data` (not empty) together with copies of `fds`.
pub fn send_with_fds(to: &UnixStream, data: &[u8], fds: &[RawFd]) -> io::Result<()> {
    let mut iov = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    let mut control = control_buffer(fds.len());
    // SAFETY: msghdr is plain data; zeros are a valid empty message.
    let mut msg: libc::msghdr = unsafe { mem::zeroed() };
    msg.msg_iov = &mut iov;
    msg.msg_iovlen = 1;
    if !fds.is_empty() {
        msg.msg_control = control.as_mut_ptr().cast();
        msg.msg_controllen = control_size(fds.len());
        // SAFETY: the control buffer is aligned, zeroed and CMSG_SPACE large, so the first header
        // and `fds.len()` descriptors after it lie inside.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&msg);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(mem::size_of_val(fds) as u32) as usize;
            let to = libc::CMSG_DATA(header).cast::<RawFd>();
            std::ptr::copy_nonoverlapping(fds.as_ptr(), to, fds.len());
        }
    }
    // SAFETY: `msg` points to buffers alive for the call.
    let sent = unsafe { libc::sendmsg(to.as_raw_fd(), &msg, libc::MSG_NOSIGNAL) };
    match sent {
        -1 => Err(io::Error::last_os_error()),
        n if n as usize == data.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Receives up to `buf.len()` bytes and the descriptors that came with them; 0 bytes is the end.
pub fn recv_with_fds(from: &UnixStream, buf: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut iov = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    let mut control = control_buffer(FDS_MAX);
    // SAFETY: msghdr is plain data; zeros are a valid empty message.
    let mut msg: libc::msghdr = unsafe { mem::zeroed() };
    msg.msg_iov = &mut iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.as_mut_ptr().cast();
    msg.msg_controllen = control_size(FDS_MAX);
    // SAFETY: `msg` points to buffers alive for the call.
    let got = unsafe { libc::recvmsg(from.as_raw_fd(), &mut msg, libc::MSG_CMSG_CLOEXEC) };
    if got == -1 {
        return Err(io::Error::last_os_error());
    }
    let mut fds = Vec::new();
    // SAFETY: the kernel filled `msg`; the CMSG walk stays inside the control buffer, and each
    // descriptor in an SCM_RIGHTS message is new and owned by us alone.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&msg);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*header).cmsg_len - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(header).cast::<RawFd>();
                for i in 0..bytes / mem::size_of::<RawFd>() {
                    fds.push(OwnedFd::from_raw_fd(data.add(i).read_unaligned()));
                }
            }
            header = libc::CMSG_NXTHDR(&msg, header);
        }
    }
    Ok((got as usize, fds))
}

/// Takes over an inherited descriptor by its number; an error if no such descriptor is open.
///
/// Numbers come from our own parent through the environment and each is adopted once.
pub fn adopt(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD on any number is harmless.
    if fd < 0 || unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the descriptor is open, and our parent opened it for us.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    set_inheritable(&owned, false)?;
    Ok(owned)
}

/// Says whether the descriptor stays open across exec.
pub fn set_inheritable(fd: &impl AsRawFd, on: bool) -> io::Result<()> {
    let flags = if on { 0 } else { libc::FD_CLOEXEC };
    // SAFETY: plain fcntl on an open descriptor.
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, flags) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Makes the number `to` another name of `from`, as a logger or daemon does with stderr.
pub fn dup2(from: &impl AsRawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: dup2 touches the descriptor table only; callers pass numbers 0 to 2.
    match unsafe { libc::dup2(from.as_raw_fd(), to) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// A borrowed view of a raw number, valid while the real owner lives.
///
/// # Safety
/// The descriptor must stay open for the whole lifetime the caller chooses.
pub unsafe fn borrow<'a>(fd: RawFd) -> BorrowedFd<'a> {
    // SAFETY: the caller's promise.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Sets an integer socket option.
pub fn set_option(fd: &impl AsRawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let size = mem::size_of::<i32>() as libc::socklen_t;
    // SAFETY: `value` is a live i32 and `size` is its size.
    let rc = unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, std::ptr::from_ref(&value).cast(), size)
    };
    if rc == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Reads an integer socket option.
pub fn option(fd: &impl AsRawFd, level: i32, name: i32) -> io::Result<i32> {
    let mut value: i32 = 0;
    let mut size = mem::size_of::<i32>() as libc::socklen_t;
    // SAFETY: `value` and `size` are live and match.
    let rc = unsafe {
        let to = std::ptr::from_mut(&mut value).cast();
        libc::getsockopt(fd.as_raw_fd(), level, name, to, &mut size)
    };
    if rc == -1 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// `TCP_FASTOPEN` with a queue length (`listen … fastopen=n`).
pub fn set_fastopen(fd: &impl AsRawFd, queue: i32) -> io::Result<()> {
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, queue)
}

/// `TCP_DEFER_ACCEPT` (`listen … deferred`).
pub fn set_deferred_accept(fd: &impl AsRawFd, seconds: i32) -> io::Result<()> {
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, seconds)
}

/// True if the peer has closed or reset: looks at the socket without taking bytes.
pub fn peer_closed(fd: &impl AsRawFd) -> bool {
    match peek_byte(fd) {
        Ok(byte) => byte.is_none(),
        Err(e) => e.kind() != io::ErrorKind::WouldBlock,
    }
}

/// The next byte without taking it or waiting for it; `None` when the peer has closed.
pub fn peek_byte(fd: &impl AsRawFd) -> io::Result<Option<u8>> {
    let mut byte = [0];
    peek(fd, &mut byte).map(|count| (count > 0).then_some(byte[0]))
}

/// Copies what can be read without taking it or waiting for it; 0 when the peer has closed.
pub fn peek(fd: &impl AsRawFd, into: &mut [u8]) -> io::Result<usize> {
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: a buffer and its size.
    let got = unsafe { libc::recv(fd.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), flags) };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

/// Bytes that a user may still write to the file system of `path`.
pub fn free_bytes(path: &std::path::Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut facts = mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: a string that ends with a zero, and room for the answer.
    let done = unsafe { libc::statvfs(path.as_ptr(), facts.as_mut_ptr()) };
    // SAFETY: zeroed is a valid value of this struct, whatever the call did.
    let facts = unsafe { facts.assume_init() };
    (done == 0).then(|| facts.f_bavail.saturating_mul(facts.f_bsize))
}

fn control_size(count: usize) -> usize {
    // SAFETY: CMSG_SPACE only computes.
    unsafe { libc::CMSG_SPACE((count * mem::size_of::<RawFd>()) as u32) as usize }
}

/// A zeroed control buffer for `count` descriptors, aligned for a header.
fn control_buffer(count: usize) -> Vec<u64> {
    vec![0; control_size(count).div_ceil(8) + 1]
}

/// The kernel's own limit for one message (SCM_MAX_FD).
pub const FDS_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_descriptor_travels() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut inner, outer) = UnixStream::pair().unwrap();
        send_with_fds(&a, b"x", &[outer.as_raw_fd()]).unwrap();
        drop(outer);
        let mut buf = [0; 8];
        let (n, mut fds) = recv_with_fds(&b, &mut buf).unwrap();
        assert_eq!((n, fds.len()), (1, 1));
        let mut got = UnixStream::from(fds.remove(0));
        got.write_all(b"hi").unwrap();
        let mut text = [0; 2];
        inner.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"hi");
        drop(a);
        assert_eq!(recv_with_fds(&b, &mut buf).unwrap().0, 0);
    }

    #[test]
    fn unknown_number_is_refused() {
        assert!(adopt(-1).is_err());
        assert!(adopt(99_999).is_err());
    }
}
