//! Addresses as they are written: a host and a port, or the path of a socket. Nothing is looked up here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The variable that names the scheduler to a client, before any file: as [`Place`] is written.
pub const SCHEDULER_VARIABLE: &str = "DC_SCHED";

/// The longest host name, in bytes (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

/// Text that is no address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("not an address: wanted HOST:PORT, [IPV6]:PORT, or the path of a socket that begins with / or ./")]
pub struct BadPlace;

/// A host and a port. `*` for the host means every address of this one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostPort {
    /// A name, an address, or `*`; an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// Reads `host:port`, `1.2.3.4:port`, `[::1]:port` or `*:port`.
    ///
    /// # Errors
    /// [`BadPlace`].
    pub fn parse(text: &str) -> Result<Self, BadPlace> {
        let (host, port) = text.rsplit_once(':').ok_or(BadPlace)?;
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_number).ok_or(BadPlace)?;
        Ok(Self { host: read_host(host)?, port })
    }

    /// Whether it means every address of the host: nobody can dial that.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.host == "*" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
    }

    /// The addresses to listen at, the better one first, where no name has to be looked up; `*` is both families.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        if self.host == "*" {
            let any: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
            return any.map(|address| SocketAddr::new(address, self.port)).to_vec();
        }
        self.host.parse().map(|address| SocketAddr::new(address, self.port)).into_iter().collect()
    }
}

/// A host without a port: a name, an IPv4 address, `*`, or an IPv6 address in brackets, which go.
pub(crate) fn read_host(text: &str) -> Result<String, BadPlace> {
    if let Some(inner) = text.strip_prefix('[') {
        let address: Ipv6Addr =
            inner.strip_suffix(']').and_then(|inner| inner.parse().ok()).ok_or(BadPlace)?;
        return Ok(address.to_string());
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_name = text.bytes().all(plain) && !text.starts_with(['-', '.']) && !text.is_empty();
    if text != "*" && (!is_name || text.len() > HOST_BYTES_MAX) {
        return Err(BadPlace);
    }
    Ok(text.to_owned())
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Where a scheduler is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// On another host, by TLS.
    Tcp(HostPort),
    /// On this one, at a Unix socket.
    Unix(PathBuf),
}

impl Place {
    /// Reads an address, or a path that begins with `/` or `./`; the latter is below `base`.
    ///
    /// # Errors
    /// [`BadPlace`].
    pub fn parse(text: &str, base: &Path) -> Result<Self, BadPlace> {
        if text.contains('\0') {
            return Err(BadPlace);
        }
        if text.starts_with('/') || text.starts_with("./") || text.starts_with("../") {
            return Ok(Self::Unix(base.join(text.strip_prefix("./").unwrap_or(text))));
        }
        match HostPort::parse(text)? {
            place if place.is_any() || place.port == 0 => Err(BadPlace),
            place => Ok(Self::Tcp(place)),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(place) => place.fmt(f),
            Self::Unix(path) => dc_spool::files::shown(path).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let at = |text: &str| Place::parse(text, Path::new("/base")).map(|place| place.to_string());
        for (text, shown) in [
            ("head:4444", "head:4444"),
            ("10.0.0.1:1", "10.0.0.1:1"),
            ("[fe80:0::1]:65535", "[fe80::1]:65535"),
            ("/run/dc/s", "/run/dc/s"),
            ("./s", "/base/s"),
        ] {
            assert_eq!(at(text).as_deref(), Ok(shown), "{text}");
        }
        for bad in [
            "",
            "head",
            "head:",
            "head:0",
            "head:65536",
            ":1",
            "head:+1",
            "fe80::1:1",
            "[head]:1",
            "*:1",
            "0.0.0.0:1",
            "a b:1",
            "-a:1",
            "/a\0b",
        ] {
            assert_eq!(at(bad), Err(BadPlace), "{bad}");
        }
    }

    #[test]
    fn places_to_listen_at() {
        let of = |text: &str| HostPort::parse(text).map(|place| place.addresses().len());
        assert_eq!([of("*:1"), of("127.0.0.1:0"), of("[::]:5"), of("head:5")], [Ok(2), Ok(1), Ok(1), Ok(0)]);
        assert!(HostPort::parse("[::]:5").unwrap().is_any() && !HostPort::parse("head:5").unwrap().is_any());
    }
}
