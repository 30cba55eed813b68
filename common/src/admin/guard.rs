//! Who may ask: whoever addresses the server by its own address, and no page of another site.
//!
//! A browser will send a request to 127.0.0.1 for any page that asks it to. Two headers give such a page away. With DNS
//! rebinding, the attacker's own name resolves to 127.0.0.1, and the browser takes the answer for one of the attacker's
//! site: but `Host` still holds that name. A plain cross-site request carries the page's `Origin`. An address written in
//! digits needs no resolving and cannot be rebound.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Uri, header};

/// Decides which requests are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    bound: IpAddr,
    names: Vec<String>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No host, or several.
    #[error("a request names one host")]
    HostCount,
    /// The host is not this server.
    #[error("this server is not {host:?}; address it by its own address")]
    Host {
        /// What the request says.
        host: String,
    },
    /// The request comes from a page of another site.
    #[error("pages of {origin:?} may not read this")]
    Origin {
        /// What the request says.
        origin: String,
    },
}

impl Guard {
    /// A guard of a server that listens on `bound`. It knows the server as `localhost`, by any loopback address and by
    /// that address; where that is "any", by any address in digits.
    pub fn new(bound: SocketAddr) -> Self {
        Self { bound: bound.ip().to_canonical(), names: Vec::new() }
    }

    /// Lets the server also be addressed by this name, without a port.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    /// Checks a request.
    ///
    /// # Errors
    ///
    /// It is refused, for the reason that is returned.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        let host = sole(headers, &header::HOST).ok_or(Refused::HostCount)?;
        // A request line may hold a whole address, which then counts more than the header.
        for authority in [Some(host), uri.authority().map(Authority::as_str)].into_iter().flatten() {
            if !self.is_self(authority) {
                return Err(Refused::Host { host: authority.to_owned() });
            }
        }
        if headers.contains_key(header::ORIGIN) {
            let origin = sole(headers, &header::ORIGIN).unwrap_or("");
            let of_this_site =
                origin.strip_prefix("http://").is_some_and(|authority| authority.eq_ignore_ascii_case(host));
            if !of_this_site {
                return Err(Refused::Origin { origin: origin.to_owned() });
            }
        }
        Ok(())
    }

    /// Whether `HOST` or `HOST:PORT` is this server. The port is not compared: a forwarded one differs, and a page cannot
    /// gain from it.
    fn is_self(&self, authority: &str) -> bool {
        let Some(host) = without_port(authority) else { return false };
        let digits = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        match digits.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
            Ok(ip) => ip.is_loopback() || ip == self.bound || self.bound.is_unspecified(),
            Err(_) => {
                let host = host.strip_suffix('.').unwrap_or(host);
                host.eq_ignore_ascii_case("localhost") || self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
            }
        }
    }
}

/// The value of a header that is there once, as text.
fn sole<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.to_str().ok()).flatten()
}

/// The host of `HOST`, `HOST:PORT`, `[V6]` or `[V6]:PORT`; `None` where it is none of them.
fn without_port(authority: &str) -> Option<&str> {
    let end = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    match port.strip_prefix(':') {
        None => port.is_empty().then_some(host),
        Some(port) => port.parse::<u16>().is_ok().then_some(host),
    }
}
