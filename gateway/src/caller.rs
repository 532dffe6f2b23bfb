//! What may call at all, with keys or without: programs that were pointed at this very address, and no web page.
//!
//! Invariant: pure. A page can only be kept out by what its browser says and cannot leave away: the name it looked up, where the page is from, and a content type that
//! it may not send elsewhere without asking first. Does not know who the caller is.

use std::collections::BTreeSet;
use std::net::IpAddr;

use axum::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Uri};
use model::keys;

use crate::failure::Failure;

/// Of these browsers send some with every request.
const SEC_FETCH: &str = "sec-fetch-";

/// Names under which the API is served, besides those of the loopback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served(BTreeSet<(String, Option<u16>)>);

impl Served {
    /// The Service's names in a cluster whose DNS ends in `domain`, and those given: `name`, or `name:port` for that port alone.
    pub fn new<'a>(domain: &str, given: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let within = format!("{}.{}", keys::API_SERVICE, keys::NAMESPACE);
        let service =
            [keys::API_SERVICE.to_owned(), within.clone(), format!("{within}.svc"), format!("{within}.svc.{domain}")];
        let mut names: BTreeSet<_> = service.into_iter().map(|name| (name, None)).collect();
        for text in given {
            names.insert(read(text).ok_or_else(|| format!("{text} is no host name and no host name with a port"))?);
        }
        Ok(Self(names))
    }

    /// The name in `name` or `name:port`.
    pub fn name(text: &str) -> Option<String> {
        read(text).map(|(name, _)| name)
    }

    /// `at`: the address at which the request came in, which whoever uses it need not look up.
    fn has(&self, host: &(String, Option<u16>), at: Option<IpAddr>) -> bool {
        let (name, port) = host;
        let address =
            name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok().map(|it| it.to_canonical());
        name == "localhost"
            || address.is_some_and(|it| it.is_loopback() || Some(it) == at.map(|at| at.to_canonical()))
            || self.0.contains(&(name.clone(), None))
            || (port.is_some() && self.0.contains(&(name.clone(), *port)))
    }
}

/// Refuses whom nobody has sent here: a request under another name, and one of a web page.
pub(crate) fn check(uri: &Uri, headers: &HeaderMap, served: &Served, at: Option<IpAddr>) -> Result<(), Failure> {
    let written = headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
    let hosts: Vec<&str> = uri.authority().map(Authority::as_str).into_iter().chain(written).collect();
    if hosts.is_empty() {
        return Err(Failure::NoHost);
    }
    for host in hosts {
        if !read(host).ok_or(Failure::NoHost).map(|host| served.has(&host, at))? {
            return Err(Failure::Host(host.chars().take(255).collect()));
        }
    }
    let of_a_page = |name: &&HeaderName| **name == ORIGIN || name.as_str().starts_with(SEC_FETCH);
    match headers.keys().find(of_a_page) {
        Some(name) => Err(Failure::Page(name.to_string())),
        None => Ok(()),
    }
}

/// Refuses a body that is not JSON, and a caller that takes no JSON.
pub(crate) fn media(headers: &HeaderMap, has_body: bool) -> Result<(), Failure> {
    let types: Vec<&HeaderValue> = headers.get_all(CONTENT_TYPE).iter().collect();
    if types.is_empty() && has_body {
        return Err(Failure::ContentType("no content type".to_owned()));
    }
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).chars().take(255).collect::<String>();
    if let Some(other) = types.into_iter().find(|value| !value.to_str().is_ok_and(is_json)) {
        return Err(Failure::ContentType(format!("content type {}", text(other))));
    }
    let plain = |value: &&HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity") || value.is_empty();
    if let Some(encoding) = headers.get_all(CONTENT_ENCODING).iter().find(|value| !plain(value)) {
        return Err(Failure::ContentType(format!("content encoding {}", text(encoding))));
    }
    let accept: Vec<&str> = headers.get_all(ACCEPT).iter().map(|value| value.to_str().unwrap_or("?")).collect();
    if takes_json(&accept.join(",")) { Ok(()) } else { Err(Failure::NotAcceptable(accept.join(", "))) }
}

/// Name in lower case, and port.
fn read(text: &str) -> Option<(String, Option<u16>)> {
    let authority: Authority = text.parse().ok()?;
    let host = authority.host();
    // What stands in front would be a user; what stands behind is a port, or nothing.
    let behind = text.strip_prefix(host)?;
    let sound = behind.is_empty() || behind == ":" || authority.port_u16().is_some();
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    (sound && !name.is_empty()).then(|| (name, authority.port_u16()))
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let other_charset = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("charset") && !value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    };
    is_json_kind(&kind) && !parts.any(other_charset)
}

fn is_json_kind(kind: &str) -> bool {
    matches!(kind, "application/json" | "application/x-amz-json-1.0" | "application/x-amz-json-1.1")
}

/// Whether `Accept` has room for JSON: what is most particular about it counts (RFC 9110, 12.5.1).
fn takes_json(accept: &str) -> bool {
    if accept.trim().is_empty() {
        return true;
    }
    let ranges = accept.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let particular = match parts.next()?.to_ascii_lowercase().as_str() {
            "*/*" => 0,
            "application/*" => 1,
            kind if is_json_kind(kind) => 2,
            _ => return None,
        };
        let weight = parts.find_map(|it| it.strip_prefix("q=").or_else(|| it.strip_prefix("Q=")));
        let refused = weight.is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0));
        Some((particular, !refused))
    });
    ranges.max().is_some_and(|(_, taken)| taken)
}

#[cfg(test)]
#[path = "caller_tests.rs"]
mod tests;
