//! [unsafe] Host names through the system resolver (`/etc/hosts`, DNS), at load time only.
//!
//! The standard library's lookup does not pass `AI_ADDRCONFIG`, nginx does: on a machine without
//! IPv6 addresses `localhost` is then one peer, not two.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

/// All addresses of `name`, in the resolver's order, without duplicates.
pub fn host(name: &str) -> io::Result<Vec<IpAddr>> {
    let name = CString::new(name).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: addrinfo is plain data; all zeros is a valid "no hints" value.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_family = libc::AF_UNSPEC;
    hints.ai_socktype = libc::SOCK_STREAM;
    hints.ai_flags = libc::AI_ADDRCONFIG;
    let mut list: *mut libc::addrinfo = ptr::null_mut();
    // SAFETY: `name` is NUL-terminated, `hints` and `list` outlive the call.
    let rc = unsafe { libc::getaddrinfo(name.as_ptr(), ptr::null(), &hints, &mut list) };
    if rc != 0 {
        return Err(io::Error::new(io::ErrorKind::NotFound, "host not found"));
    }
    let mut found = Vec::new();
    let mut next = list;
    while !next.is_null() {
        // SAFETY: `next` is a node of the list getaddrinfo returned, not freed yet.
        let node = unsafe { &*next };
        // SAFETY: `ai_addr` points to a sockaddr of the family `ai_family` says.
        let ip = unsafe { ip_of(node) };
        if let Some(ip) = ip
            && !found.contains(&ip)
        {
            found.push(ip);
        }
        next = node.ai_next;
    }
    // SAFETY: `list` came from getaddrinfo and is freed once.
    unsafe { libc::freeaddrinfo(list) };
    Ok(found)
}

/// # Safety
/// `node.ai_addr` must point to a sockaddr of the family named by `node.ai_family`.
unsafe fn ip_of(node: &libc::addrinfo) -> Option<IpAddr> {
    match node.ai_family {
        libc::AF_INET => {
            // SAFETY: the caller's promise.
            let sin = unsafe { &*node.ai_addr.cast::<libc::sockaddr_in>() };
            Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(sin.sin_addr.s_addr))))
        }
        libc::AF_INET6 => {
            // SAFETY: the caller's promise.
            let sin6 = unsafe { &*node.ai_addr.cast::<libc::sockaddr_in6>() };
            Some(IpAddr::V6(Ipv6Addr::from(sin6.sin6_addr.s6_addr)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn localhost_is_known() {
        let found = super::host("localhost").expect("hosts file");
        assert!(found.iter().all(|ip| ip.is_loopback()) && !found.is_empty());
        assert!(super::host("no-such-host.invalid").is_err());
    }
}
