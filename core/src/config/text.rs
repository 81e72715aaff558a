//! The text form of a setting, the same in URLs and in serde.
//!
//! Durations and sizes are whole numbers with a unit, so that nobody has to guess it.
//! Invariant: `from_text(to_text(x)) == x` for every value (property test).
//! Limits: a duration goes up to `Duration::MAX`, a size up to `usize::MAX` bytes; more is an
//! error, never an overflow.

use super::error::ConfigError;
use crate::endpoint::Endpoint;
use serde::{Deserialize, Deserializer, Serializer, de};
use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

/// A value that can be written in a URL.
pub(super) trait Setting: Sized {
    /// The values that are allowed, worded to follow "is not".
    const ALLOWED: &'static str;

    /// The value of `text`; `None` if `text` is no value.
    fn from_text(text: &str) -> Option<Self>;

    /// The shortest text of the value.
    fn to_text(&self) -> String;
}

/// Units of at least a second and their seconds, largest first.
const TIME_UNITS: [(&str, u64); 3] = [("h", 3600), ("m", 60), ("s", 1)];

/// Units below a second, largest first, and how many digits of the fraction of a second each has.
const FRACTION_UNITS: [(&str, usize); 3] = [("ms", 3), ("us", 6), ("ns", 9)];

/// Units of sizes and their bytes, largest first.
const SIZE_UNITS: [(&str, u64); 4] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Splits into the digits and the unit behind them.
fn split_unit(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// The number of smallest units that `text` stands for: digits, then one of `units`.
fn count_from_text(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = split_unit(text);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// The text of `count` smallest units, in the largest unit that is exact; `zero` for 0.
fn count_to_text(count: u64, units: &[(&str, u64)], zero: &str) -> String {
    let exact = units.iter().find(|(_, factor)| count.is_multiple_of(*factor));
    match exact {
        Some((name, factor)) if count > 0 => format!("{}{name}", count / factor),
        _ => zero.to_owned(),
    }
}

impl Setting for Duration {
    const ALLOWED: &'static str =
        "a duration: a whole number with a unit, which is one of ns, us, ms, s, m and h";

    fn from_text(text: &str) -> Option<Self> {
        let (number, unit) = split_unit(text);
        let Some((_, digits)) = FRACTION_UNITS.iter().find(|(name, _)| *name == unit) else {
            return count_from_text(text, &TIME_UNITS).map(Self::from_secs);
        };
        // The last digits are the fraction and those before them whole seconds: a number of
        // nanoseconds may need more than 64 bits.
        let (secs, fraction) = number.split_at(number.len().saturating_sub(*digits));
        let secs = if secs.is_empty() { 0 } else { secs.parse().ok()? };
        let nanos = fraction.parse::<u32>().ok()? * 10_u32.pow(9 - *digits as u32);
        Some(Self::new(secs, nanos))
    }

    fn to_text(&self) -> String {
        let (secs, nanos) = (self.as_secs(), self.subsec_nanos());
        if nanos == 0 {
            return count_to_text(secs, &TIME_UNITS, "0s");
        }
        let factor = |digits| 10_u32.pow(9 - digits as u32);
        let exact = FRACTION_UNITS.iter().find(|(_, digits)| nanos.is_multiple_of(factor(*digits)));
        let (name, digits) = exact.unwrap_or(&("ns", 9));
        let part = nanos / factor(*digits);
        match secs {
            0 => format!("{part}{name}"),
            _ => format!("{secs}{part:0digits$}{name}"),
        }
    }
}

/// A duration that can be off.
impl Setting for Option<Duration> {
    const ALLOWED: &'static str =
        "off, or a duration: a whole number with a unit, which is one of ns, us, ms, s, m and h";

    fn from_text(text: &str) -> Option<Self> {
        if text == "off" { Some(None) } else { Duration::from_text(text).map(Some) }
    }

    fn to_text(&self) -> String {
        self.map_or_else(|| "off".to_owned(), |duration| duration.to_text())
    }
}

/// A number that can be off.
impl Setting for Option<u32> {
    const ALLOWED: &'static str = "off, or a whole number from 0 to 4294967295, without a unit";

    fn from_text(text: &str) -> Option<Self> {
        if text == "off" { Some(None) } else { u32::from_text(text).map(Some) }
    }

    fn to_text(&self) -> String {
        self.map_or_else(|| "off".to_owned(), |number| number.to_text())
    }
}

/// A size in bytes; no other setting is a `usize`.
impl Setting for usize {
    const ALLOWED: &'static str =
        "a size: a whole number with a unit, which is one of B, KiB, MiB and GiB";

    fn from_text(text: &str) -> Option<Self> {
        Self::try_from(count_from_text(text, &SIZE_UNITS)?).ok()
    }

    fn to_text(&self) -> String {
        count_to_text(*self as u64, &SIZE_UNITS, "0B")
    }
}

/// A number without a unit.
impl Setting for u32 {
    const ALLOWED: &'static str = "a whole number from 0 to 4294967295, without a unit";

    fn from_text(text: &str) -> Option<Self> {
        // `parse` alone would also take "+5".
        if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl Setting for bool {
    const ALLOWED: &'static str = "true or false";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl Setting for Option<String> {
    const ALLOWED: &'static str = "a name";

    fn from_text(text: &str) -> Option<Self> {
        Some(Some(text.to_owned()))
    }

    fn to_text(&self) -> String {
        self.clone().unwrap_or_default()
    }
}

/// An endpoint's own text form: `host:port`, `[v6]:port` or `unix:/path`.
pub(super) fn endpoint_from_text(text: &str) -> Result<Endpoint, ConfigError> {
    match text.strip_prefix("unix:") {
        Some(path) if path.starts_with('/') => Ok(Endpoint::unix(path)),
        _ => tcp_from_text(text, None),
    }
}

/// `host`, `host:port` or `[v6]:port`; without `port_default` the port is required.
pub(super) fn tcp_from_text(
    text: &str,
    port_default: Option<u16>,
) -> Result<Endpoint, ConfigError> {
    let (host, port) = split_port(text)?;
    if host.is_empty() {
        return Err(ConfigError::EmptyHost);
    }
    let number = match port {
        None => port_default,
        Some(digits) => u32::from_text(digits).and_then(|n| u16::try_from(n).ok()),
    };
    let endpoint = Endpoint::tcp(host, number.unwrap_or(0));
    check_endpoint(&endpoint)?;
    Ok(endpoint)
}

/// Splits into the host, still in its brackets, and the text after its colon.
fn split_port(text: &str) -> Result<(&str, Option<&str>), ConfigError> {
    let bad = || ConfigError::InvalidHost { host: text.to_owned() };
    if text.starts_with('[') {
        let end = text.find(']').ok_or_else(bad)? + 1;
        let (host, rest) = text.split_at(end);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(bad()),
        };
    }
    match text.split_once(':') {
        // Not shown: a text with two colons may be credentials without their `@`.
        Some((_, port)) if port.contains(':') => Err(ConfigError::InvalidUrl {
            reason: "a host with two colons: put an IPv6 address in brackets, and end credentials \
                     with `@`",
        }),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

/// Checks that the endpoint can be dialled and written in a URL.
pub(super) fn check_endpoint(endpoint: &Endpoint) -> Result<(), ConfigError> {
    match endpoint {
        Endpoint::Tcp { host, .. } if host.is_empty() => Err(ConfigError::EmptyHost),
        Endpoint::Tcp { host, .. } if !is_host(host) => {
            Err(ConfigError::InvalidHost { host: host.clone() })
        }
        Endpoint::Tcp { host, port: 0 } => Err(ConfigError::InvalidPort { host: host.clone() }),
        Endpoint::Tcp { .. } => Ok(()),
        Endpoint::Unix { path } => match path.to_str() {
            Some(text) if text.starts_with('/') && !text.contains('\0') => Ok(()),
            _ => Err(ConfigError::value(
                "endpoints",
                path.display(),
                "an absolute path of a unix socket, in UTF-8",
            )),
        },
    }
}

/// Whether this is a name, an IPv4 address, or an IPv6 address, which may have a scope as in
/// `fe80::1%eth0`. Names outside ASCII must be in their `xn--` form, as resolvers need them.
fn is_host(host: &str) -> bool {
    let name = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    if !host.contains(':') {
        return name(host);
    }
    let (address, scope) = host.split_once('%').unwrap_or((host, "0"));
    address.parse::<Ipv6Addr>().is_ok() && !scope.is_empty() && name(scope)
}

/// Serde functions for a `Setting`.
pub(super) mod setting {
    use super::{Deserialize, Deserializer, Serializer, Setting, de};

    /// Writes the text form.
    pub(in crate::config) fn serialize<T: Setting, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.to_text())
    }

    /// Reads the text form.
    pub(in crate::config) fn deserialize<'de, T: Setting, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(from)?;
        T::from_text(&text)
            .ok_or_else(|| de::Error::custom(format_args!("`{text}` is not {}", T::ALLOWED)))
    }
}

/// Serde functions for a list of endpoints.
pub(super) mod endpoints {
    use super::{Deserialize, Deserializer, Endpoint, Serializer, de, endpoint_from_text};

    /// Writes the text forms.
    pub(in crate::config) fn serialize<S: Serializer>(
        list: &[Endpoint],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(list.iter().map(Endpoint::to_string))
    }

    /// Reads the text forms; the port is required.
    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Endpoint>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let list = texts.iter().map(|text| endpoint_from_text(text));
        list.collect::<Result<_, _>>().map_err(de::Error::custom)
    }
}

/// The values of a table whose keys are endpoints: another endpoint, or a name.
pub(super) trait TableValue: Sized {
    /// The value of `text`.
    fn from_table(text: &str) -> Result<Self, ConfigError>;

    /// The text of the value.
    fn to_table(&self) -> String;
}

impl TableValue for String {
    fn from_table(text: &str) -> Result<Self, ConfigError> {
        Ok(text.to_owned())
    }

    fn to_table(&self) -> String {
        self.clone()
    }
}

impl TableValue for Endpoint {
    fn from_table(text: &str) -> Result<Self, ConfigError> {
        endpoint_from_text(text)
    }

    fn to_table(&self) -> String {
        self.to_string()
    }
}

/// Serde functions for a table whose keys are endpoints: a map of texts.
pub(super) mod table {
    use super::{
        BTreeMap, ConfigError, Deserialize, Deserializer, Endpoint, Serializer, TableValue, de,
        endpoint_from_text,
    };

    /// Writes a map of texts.
    pub(in crate::config) fn serialize<T: TableValue, S: Serializer>(
        table: &BTreeMap<Endpoint, T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_map(table.iter().map(|(key, value)| (key.to_string(), value.to_table())))
    }

    /// Reads a map of texts.
    pub(in crate::config) fn deserialize<'de, T: TableValue, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<Endpoint, T>, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(from)?;
        let entry = |(key, value): (&String, &String)| -> Result<_, ConfigError> {
            Ok((endpoint_from_text(key)?, T::from_table(value)?))
        };
        texts.iter().map(entry).collect::<Result<_, _>>().map_err(de::Error::custom)
    }
}
