//! A configuration as a URL, and back.
//!
//! ```text
//! SCHEME://[[user]:password@]host[:port][,host[:port]...][/database][?key=value&...]
//! unix://[[user]:password@]/path[?db=N&key=value&...]
//! ```
//!
//! SCHEME is `redis`, `rediss` (TLS), `valkey` or `valkeys`, alone or with `-cluster` or
//! `-sentinel`. Hosts without a port get 6379, sentinels 26379. User, password, path and values are
//! percent-encoded.
//!
//! Invariants: `from_url(to_url(c)) == c` for every `c` that has a URL; no error text shows a part
//! of the credentials. So a URL is split strictly, and no part of the credentials can be taken for
//! another part.
//! Spec: RFC 3986, with several hosts.

use super::error::ConfigError;
use super::keys::{KEYS, OTHER_KEYS, TEXTS, unknown_key};
use super::text::{Setting, TableValue, endpoint_from_text, tcp_from_text};
use super::{Config, Deployment, ReadFrom, Secret};
use crate::endpoint::Endpoint;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

/// The default port of a server.
const SERVER_PORT: u16 = 6379;
/// The default port of a sentinel.
const SENTINEL_PORT: u16 = 26379;

/// What is encoded in credentials: all but the unreserved characters of RFC 3986.
const IN_CREDENTIALS: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What is encoded in the path of a socket.
const IN_PATH: &AsciiSet = &IN_CREDENTIALS.remove(b'/');
/// What is encoded in the values of a query; the separators of lists and tables are not.
const IN_VALUE: &AsciiSet = &IN_CREDENTIALS.remove(b',').remove(b':').remove(b'=').remove(b'/');

impl Config {
    /// The configuration that a URL describes; settings that it does not name have their defaults.
    ///
    /// `redis-sentinel://h1,h2/0?service=NAME` finds the primary NAME through sentinels at h1 and
    /// h2. User and password are for the servers; `sentinel_username`, `sentinel_password` and
    /// `sentinel_tls` are for the sentinels. `redis://primary?replicas=h1:6379,h2:6379` lists the
    /// replicas of a standalone server.
    ///
    /// # Errors
    /// A part that is malformed, unknown, repeated, missing or contradictory; the error says what
    /// is allowed instead.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        let parts = UrlParts::split(url)?;
        let mut config = Self { tls: parts.scheme.tls, ..Self::default() };
        (config.username, config.password) = credentials(parts.credentials)?;
        match parts.scheme.family {
            Family::Unix => {
                let path = decode("endpoints", parts.path)?;
                config.endpoints = vec![Endpoint::unix(&*path)];
            }
            Family::Standalone | Family::Cluster | Family::Sentinel => {
                config.endpoints = hosts(parts.hosts, parts.scheme.family)?;
                config.database = database(parts.path)?;
            }
        }
        query(&mut config, parts.scheme.family, parts.query)?;
        config.validate()?;
        Ok(config)
    }

    /// The URL of this configuration. It contains the password, and leaves out every setting that
    /// has its default.
    ///
    /// # Errors
    /// Those of [`Config::validate`]; and a custom read policy, which is code and has no URL.
    pub fn to_url(&self) -> Result<String, ConfigError> {
        self.validate()?;
        if let ReadFrom::Custom(custom) = &self.read_from {
            let name = format!("custom:{}", custom.policy().name());
            return Err(ConfigError::value("read_from", name, "a policy that a URL can name"));
        }
        let mut url = String::from(match (&self.deployment, self.endpoints.first(), self.tls) {
            (_, Some(Endpoint::Unix { .. }), _) => "unix://",
            (Deployment::Standalone, _, false) => "redis://",
            (Deployment::Standalone, _, true) => "rediss://",
            (Deployment::Cluster, _, false) => "redis-cluster://",
            (Deployment::Cluster, _, true) => "rediss-cluster://",
            (Deployment::Sentinel { .. }, _, false) => "redis-sentinel://",
            (Deployment::Sentinel { .. }, _, true) => "rediss-sentinel://",
        });
        if let Some(password) = &self.password {
            let user = self.username.as_deref().unwrap_or_default();
            url.extend(utf8_percent_encode(user, IN_CREDENTIALS));
            url.push(':');
            url.extend(utf8_percent_encode(password.expose(), IN_CREDENTIALS));
            url.push('@');
        }
        let mut pairs = self.query_pairs();
        if let Some(Endpoint::Unix { path }) = self.endpoints.first() {
            let path = path.to_str().expect("validate() has checked that it is UTF-8");
            url.extend(utf8_percent_encode(path, IN_PATH));
            if self.database != 0 {
                pairs.insert(0, ("db", self.database.to_text()));
            }
        } else {
            // `%` begins the scope of an IPv6 address.
            url.push_str(&list(&self.endpoints).replace('%', "%25"));
            if self.database != 0 {
                url.push('/');
                url.push_str(&self.database.to_text());
            }
        }
        for (index, (key, value)) in pairs.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(key);
            url.push('=');
            url.extend(utf8_percent_encode(value, IN_VALUE));
        }
        Ok(url)
    }

    /// The settings that belong to the query and differ from their defaults.
    fn query_pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        if let Deployment::Sentinel { service, username, password, tls } = &self.deployment {
            pairs.push(("service", service.clone()));
            pairs.extend(username.clone().map(|name| ("sentinel_username", name)));
            let password = password.as_ref().map(|secret| secret.expose().to_owned());
            pairs.extend(password.map(|text| ("sentinel_password", text)));
            pairs.extend(tls.map(|on| ("sentinel_tls", on.to_text())));
        }
        if !self.replicas.is_empty() {
            pairs.push(("replicas", list(&self.replicas)));
        }
        if !self.address_map.is_empty() {
            pairs.push(("address_map", table_to_text(&self.address_map)));
        }
        if !self.zones.is_empty() {
            pairs.push(("zones", table_to_text(&self.zones)));
        }
        let default = Self::default();
        for (key, text_of) in KEYS.iter().zip(TEXTS) {
            let text = text_of(self);
            if text != text_of(&default) {
                pairs.push((key.name, text));
            }
        }
        pairs
    }
}

impl FromStr for Config {
    type Err = ConfigError;

    fn from_str(url: &str) -> Result<Self, ConfigError> {
        Self::from_url(url)
    }
}

/// The kind of deployment that a scheme names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    /// One server.
    Standalone,
    /// A cluster; the hosts are its seeds.
    Cluster,
    /// A primary behind sentinels; the hosts are the sentinels.
    Sentinel,
    /// One server behind a unix socket.
    Unix,
}

/// The meaning of a scheme.
#[derive(Clone, Copy)]
struct Scheme {
    /// The kind of deployment.
    family: Family,
    /// Whether TLS is used.
    tls: bool,
}

impl Scheme {
    /// The scheme of this name, in any case.
    fn from_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        if name == "unix" {
            return Some(Self { family: Family::Unix, tls: false });
        }
        let (server, family) = match name.split_once('-') {
            None => (name.as_str(), Family::Standalone),
            Some((server, "cluster")) => (server, Family::Cluster),
            Some((server, "sentinel")) => (server, Family::Sentinel),
            Some(_) => return None,
        };
        match server {
            "redis" | "valkey" => Some(Self { family, tls: false }),
            "rediss" | "valkeys" => Some(Self { family, tls: true }),
            _ => None,
        }
    }
}

/// The parts of a URL, still encoded.
struct UrlParts<'a> {
    /// The meaning of its scheme.
    scheme: Scheme,
    /// `user:password`, without the `@`; may be empty.
    credentials: &'a str,
    /// `host:port,host:port`.
    hosts: &'a str,
    /// From its first slash, or empty.
    path: &'a str,
    /// The text behind the question mark.
    query: &'a str,
}

impl<'a> UrlParts<'a> {
    /// Splits at the first `://`, then at `/` or `?`, then at the last `@` before it.
    fn split(url: &'a str) -> Result<Self, ConfigError> {
        let invalid = |reason| Err(ConfigError::InvalidUrl { reason });
        let Some((name, rest)) = url.split_once("://") else {
            return invalid("it begins with a scheme and ://");
        };
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            return invalid("its scheme holds letters, digits and - only");
        }
        let Some(scheme) = Scheme::from_name(name) else {
            return Err(ConfigError::UnknownScheme { scheme: name.to_owned() });
        };
        if rest.contains('#') {
            return invalid("it has no fragment: write # as %23");
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        if credentials.contains(',') {
            return invalid(
                "credentials are written once, before the first host: write , as %2C in them",
            );
        }
        let unix = scheme.family == Family::Unix;
        if unix && !hosts.is_empty() {
            // Not shown: it may be a password with a slash.
            return invalid("a unix socket has no host: write unix:///path");
        }
        // Not shown either: the `@` that ends the credentials may be behind a slash of the
        // password. Only the path of a socket may contain one: systemd uses such names.
        if query.contains('@') || (!unix && path.contains('@')) {
            return invalid(
                "an @ behind the host: in credentials write / as %2F and ? as %3F, and in values \
                 write @ as %40",
            );
        }
        Ok(Self { scheme, credentials, hosts, path, query })
    }
}

/// User and password.
fn credentials(text: &str) -> Result<(Option<String>, Option<Secret>), ConfigError> {
    if text.is_empty() {
        return Ok((None, None));
    }
    let decode = |part| {
        decode_strictly(part).map(Cow::into_owned).ok_or(ConfigError::InvalidCredentials {
            reason: "they must be percent-encoded UTF-8: write % as %25",
        })
    };
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(decode(password)?)),
        None => (text, None),
    };
    let user = if user.is_empty() { None } else { Some(decode(user)?) };
    Ok((user, password.map(Secret::from)))
}

/// The list of hosts.
fn hosts(text: &str, family: Family) -> Result<Vec<Endpoint>, ConfigError> {
    let port = if family == Family::Sentinel { SENTINEL_PORT } else { SERVER_PORT };
    let host = |part| match decode_strictly(part) {
        Some(host) => tcp_from_text(&host, Some(port)),
        None => Err(ConfigError::InvalidHost { host: String::from(part) }),
    };
    text.split(',').map(host).collect()
}

/// `/N`, `/` or nothing.
fn database(path: &str) -> Result<u32, ConfigError> {
    match path.strip_prefix('/') {
        None | Some("") => Ok(0),
        Some(digits) => u32::from_text(digits)
            .ok_or_else(|| ConfigError::value("database", digits, u32::ALLOWED)),
    }
}

/// Reads `key=value&key=value` into the configuration.
fn query(config: &mut Config, family: Family, text: &str) -> Result<(), ConfigError> {
    let mut sentinel = SentinelSettings::default();
    let mut seen = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let Some((name, encoded)) = pair.split_once('=') else {
            // Not shown: it may be the end of a password with an ampersand.
            return Err(ConfigError::InvalidUrl { reason: "each part of its query is key=value" });
        };
        let key = KEYS.iter().find(|key| key.name == name);
        let Some(known) =
            key.map(|key| key.name).or(OTHER_KEYS.into_iter().find(|key| *key == name))
        else {
            // Shown only if it looks like a key: it may be what follows the `?` of a password.
            let like_a_key = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            return Err(match name.bytes().all(like_a_key) {
                true => unknown_key(name),
                false => ConfigError::InvalidUrl {
                    reason: "a query key holds letters, digits and _ only",
                },
            });
        };
        if seen.contains(&known) {
            return Err(ConfigError::RepeatedKey { key: name.to_owned() });
        }
        seen.push(known);
        let value = decode(known, encoded)?;
        match key {
            Some(key) if (key.read)(config, &value) => {}
            Some(key) => return Err(ConfigError::value(key.name, value, key.allowed)),
            None => other_key(config, family, &mut sentinel, known, &value)?,
        }
    }
    match family {
        Family::Standalone | Family::Unix => {}
        Family::Cluster => config.deployment = Deployment::Cluster,
        Family::Sentinel => {
            config.deployment = Deployment::Sentinel {
                service: sentinel.service.ok_or(ConfigError::Missing { key: "service" })?,
                username: sentinel.username,
                password: sentinel.password,
                tls: sentinel.tls,
            };
        }
    }
    Ok(())
}

/// The settings of the sentinels, while a query is read.
#[derive(Default)]
struct SentinelSettings {
    /// `service`.
    service: Option<String>,
    /// `sentinel_username`.
    username: Option<String>,
    /// `sentinel_password`.
    password: Option<Secret>,
    /// `sentinel_tls`.
    tls: Option<bool>,
}

/// Reads one of [`OTHER_KEYS`].
fn other_key(
    config: &mut Config,
    family: Family,
    sentinel: &mut SentinelSettings,
    key: &'static str,
    value: &str,
) -> Result<(), ConfigError> {
    let only = |wanted, reason: &'static str| {
        if family == wanted { Ok(()) } else { Err(ConfigError::conflict(key, reason)) }
    };
    match key {
        "address_map" => config.address_map = table_from_text(key, value)?,
        "zones" => config.zones = table_from_text(key, value)?,
        "replicas" => {
            let parts = value.split(',').map(|part| tcp_from_text(part, Some(SERVER_PORT)));
            config.replicas = parts.collect::<Result<_, _>>()?;
        }
        "db" => {
            only(Family::Unix, "only for a unix socket: elsewhere write the database as /N")?;
            config.database = u32::from_text(value)
                .ok_or_else(|| ConfigError::value(key, value, u32::ALLOWED))?;
        }
        _ => {
            only(Family::Sentinel, "only with a scheme that ends in -sentinel")?;
            match key {
                "service" => sentinel.service = Some(value.to_owned()),
                "sentinel_username" => sentinel.username = Some(value.to_owned()),
                "sentinel_password" => sentinel.password = Some(value.into()),
                _ => {
                    let tls = bool::from_text(value);
                    sentinel.tls =
                        Some(tls.ok_or_else(|| ConfigError::value(key, value, bool::ALLOWED))?);
                }
            }
        }
    }
    Ok(())
}

/// `host:port=value,host:port=value`.
fn table_from_text<T: TableValue>(
    key: &'static str,
    text: &str,
) -> Result<BTreeMap<Endpoint, T>, ConfigError> {
    let mut table = BTreeMap::new();
    for entry in text.split(',') {
        let Some((from, to)) = entry.split_once('=') else {
            return Err(ConfigError::value(key, entry, "host:port=value, separated by commas"));
        };
        let from = endpoint_from_text(from)?;
        if table.contains_key(&from) {
            return Err(ConfigError::conflict(key, format!("{from} is listed twice")));
        }
        table.insert(from, T::from_table(to)?);
    }
    Ok(table)
}

/// The text of a table.
fn table_to_text<T: TableValue>(table: &BTreeMap<Endpoint, T>) -> String {
    let entries = table.iter().map(|(key, value)| format!("{key}={}", value.to_table()));
    entries.collect::<Vec<_>>().join(",")
}

/// The text of a list of endpoints.
fn list(endpoints: &[Endpoint]) -> String {
    endpoints.iter().map(Endpoint::to_string).collect::<Vec<_>>().join(",")
}

/// Decodes a part of the URL. The error names the key, and shows the text unless it is a password.
fn decode<'a>(key: &'static str, text: &'a str) -> Result<Cow<'a, str>, ConfigError> {
    decode_strictly(text).ok_or_else(|| {
        let shown = if key == "sentinel_password" { "(not shown)" } else { text };
        ConfigError::value(key, shown, "percent-encoded UTF-8: write % as %25")
    })
}

/// Decodes; `None` if a `%` is not followed by two hexadecimal digits, or if the result is not
/// UTF-8.
fn decode_strictly(text: &str) -> Option<Cow<'_, str>> {
    let escapes_are_whole = text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes();
        digits.len() >= 2 && digits[0].is_ascii_hexdigit() && digits[1].is_ascii_hexdigit()
    });
    if escapes_are_whole { percent_decode_str(text).decode_utf8().ok() } else { None }
}
