//! Where a server listens: an address that is safe without credentials, and a line that tells a script that it may begin.

use std::net::{SocketAddr, ToSocketAddrs};

use super::Error;

/// Parses `HOST:PORT`, as a clap `value_parser`. A name is resolved, and its first address is taken; IPv4 first, so that
/// `localhost` is where a client that was told `127.0.0.1` looks.
///
/// # Errors
///
/// It is not of that form, or the name does not resolve.
pub fn listen_addr(text: &str) -> Result<SocketAddr, Error> {
    if let Ok(addr) = text.parse() {
        return Ok(addr);
    }
    let bad = |source| Error::ListenAddress { text: text.to_owned(), source };
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            let mut addrs: Vec<SocketAddr> = text.to_socket_addrs().map_err(|error| bad(Some(error)))?.collect();
            addrs.sort_by_key(SocketAddr::is_ipv6);
            addrs.first().copied().ok_or_else(|| bad(None))
        }
        _ => Err(bad(None)),
    }
}

/// Allows loopback always, and any other address only with credentials. A store that
/// listens to a network without a password has been found by strangers within hours, many times over.
///
/// # Errors
///
/// The address can be reached from other machines, and there are no credentials.
pub fn check_bind(addr: SocketAddr, has_credentials: bool) -> Result<(), Error> {
    if has_credentials || addr.ip().to_canonical().is_loopback() { Ok(()) } else { Err(Error::PublicBind { addr }) }
}

/// Allows loopback alone: for an endpoint that asks for no credentials, whatever the server beside it asks for.
///
/// # Errors
///
/// The address can be reached from other machines.
pub fn check_bind_open(addr: SocketAddr) -> Result<(), Error> {
    if addr.ip().to_canonical().is_loopback() { Ok(()) } else { Err(Error::PublicOpenBind { addr }) }
}

/// The line by which a server says that it serves: `ready listen=HOST:PORT admin=HOST:PORT`, without `admin` where there is
/// none. With port 0 asked for, it is the only place where the port can be learned.
pub fn ready_text(listen: SocketAddr, admin: Option<SocketAddr>) -> String {
    match admin {
        Some(admin) => format!("ready listen={listen} admin={admin}"),
        None => format!("ready listen={listen}"),
    }
}

/// Prints [`ready_text`] as a line on standard output, at once. A server prints nothing there before it.
///
/// # Errors
///
/// It cannot be written.
pub fn ready_line(listen: SocketAddr, admin: Option<SocketAddr>) -> Result<(), Error> {
    super::print(ready_text(listen, admin))
}
