//! Checks that the values of a configuration are in range and fit together.
//!
//! Setters and text forms accept any value of a type. This file refuses the rest: limits of zero,
//! replicas of a cluster, a user without a password, and other contradictions.
//! Limits: at most 256 connections to a node; replies nest at most 128 levels, which is how deep
//! the decoder recurses. `Client` checks a configuration before its first dial.

use super::error::ConfigError;
use super::text::{Setting, check_endpoint};
use super::{Config, Deployment, ReadFrom};
use crate::endpoint::Endpoint;
use std::collections::BTreeMap;
use std::time::Duration;

impl Config {
    /// Checks that the values are in range and fit together.
    ///
    /// # Errors
    /// The first setting that is missing, out of range, or contradicts another.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_nodes()?;
        self.validate_names()?;
        self.validate_times()?;
        self.validate_counts()
    }

    /// Checks the endpoints against the deployment.
    fn validate_nodes(&self) -> Result<(), ConfigError> {
        if self.endpoints.is_empty() {
            return Err(ConfigError::Missing { key: "endpoints" });
        }
        let mapped = self.address_map.iter().flat_map(|(from, to)| [from, to]);
        let tables = self.zones.keys().chain(mapped);
        for endpoint in self.endpoints.iter().chain(&self.replicas).chain(tables) {
            check_endpoint(endpoint)?;
        }
        let unix = |list: &[Endpoint]| list.iter().any(|e| matches!(e, Endpoint::Unix { .. }));
        if unix(&self.endpoints) {
            if self.deployment != Deployment::Standalone {
                return Err(ConfigError::conflict(
                    "endpoints",
                    "a unix socket is for a standalone server only",
                ));
            }
            if self.tls {
                return Err(ConfigError::conflict("tls", "a unix socket has no TLS"));
            }
        }
        if unix(&self.replicas) {
            return Err(ConfigError::conflict("replicas", "a unix socket cannot be a replica"));
        }
        if self.deployment == Deployment::Standalone {
            self.validate_standalone()?;
        } else if !self.replicas.is_empty() {
            return Err(ConfigError::conflict(
                "replicas",
                "only for a standalone server: a cluster and sentinels report theirs",
            ));
        }
        check_address_map(&self.address_map)
    }

    /// Checks that there is one primary, and that no node is listed twice.
    fn validate_standalone(&self) -> Result<(), ConfigError> {
        let [primary] = self.endpoints.as_slice() else {
            return Err(ConfigError::conflict(
                "endpoints",
                format!(
                    "a standalone server has one, not {}: list replicas as replicas, or choose \
                     cluster or sentinel",
                    self.endpoints.len()
                ),
            ));
        };
        let is_twice = |(index, replica): &(usize, &Endpoint)| {
            *replica == primary || self.replicas.iter().take(*index).any(|other| other == *replica)
        };
        match self.replicas.iter().enumerate().find(is_twice) {
            Some((_, twice)) => {
                Err(ConfigError::conflict("replicas", format!("{twice} is listed twice")))
            }
            None => Ok(()),
        }
    }

    /// Checks names and credentials.
    fn validate_names(&self) -> Result<(), ConfigError> {
        check_credentials("username", self.username.is_some(), self.password.is_some())?;
        if let Deployment::Sentinel { service, username, password, tls: _ } = &self.deployment {
            if service.is_empty() {
                return Err(ConfigError::Missing { key: "service" });
            }
            check_credentials("sentinel_username", username.is_some(), password.is_some())?;
        }
        if let Some(name) = &self.client_name
            && (name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(ConfigError::value(
                "client_name",
                name,
                "printable ASCII without spaces, at least one character",
            ));
        }
        if self.client_name.is_some() && !self.courtesies {
            return Err(ConfigError::conflict(
                "client_name",
                "a server is told it as a courtesy: leave out the name, or courtesies=false",
            ));
        }
        let of_policy = match &self.read_from {
            ReadFrom::Zone(zone) => Some(("read_from", &**zone)),
            _ => None,
        };
        let of_table = self.zones.values().map(|zone| ("zones", zone.as_str()));
        for (key, zone) in of_policy.into_iter().chain(of_table) {
            if zone.is_empty() || zone.contains([',', '=']) {
                return Err(ConfigError::value(
                    key,
                    zone,
                    "the name of a zone, without a comma or an equals sign",
                ));
            }
        }
        Ok(())
    }

    /// Checks that no duration is zero.
    fn validate_times(&self) -> Result<(), ConfigError> {
        let some = |key, time: Option<Duration>| time.map(|duration| (key, duration));
        let times = [
            some("max_staleness", self.max_staleness),
            some("command_timeout", Some(self.command_timeout)),
            some("connect_timeout", Some(self.connect_timeout)),
            some("progress_timeout", Some(self.progress_timeout)),
            some("probe_interval", self.probe_interval),
            some("refusal_wait_max", self.refusal_wait_max),
            some("backoff_base", Some(self.backoff_base)),
            some("refresh_interval", self.refresh_interval),
            some("sentinel_interval", Some(self.sentinel_interval)),
        ];
        for (key, time) in times.into_iter().flatten() {
            if time.is_zero() {
                return Err(ConfigError::value(key, time.to_text(), "a duration above zero"));
            }
        }
        if self.backoff_base > self.backoff_cap {
            let (base, cap) = (self.backoff_base.to_text(), self.backoff_cap.to_text());
            return Err(ConfigError::conflict(
                "backoff_base",
                format!("{base} is more than the backoff_cap of {cap}"),
            ));
        }
        Ok(())
    }

    /// Checks the range of counts and sizes.
    fn validate_counts(&self) -> Result<(), ConfigError> {
        let any = u32::MAX;
        let counts = [
            ("attempts_max", self.attempts_max, 1, any),
            ("dials_per_second", self.dials_per_second, 1, any),
            ("exclusive_connections_max", self.exclusive_connections_max, 1, any),
            ("connections_per_node", self.connections_per_node, 1, 256),
            ("connections_max", self.connections_max.unwrap_or(any), 1, any),
            ("pipeline_commands_max", self.pipeline_commands_max, 1, any),
            ("primary_fallback_percent_max", self.primary_fallback_percent_max, 0, 100),
            ("refreshes_per_second", self.refreshes_per_second, 1, any),
            ("reply_depth_max", self.reply_depth_max, 1, 128),
            ("subscription_messages_max", self.subscription_messages_max, 1, any),
        ];
        for (key, count, min, max) in counts {
            if !(min..=max).contains(&count) {
                return Err(ConfigError::value(
                    key,
                    count,
                    format!("a number from {min} to {max}"),
                ));
            }
        }
        if let Some(max) = self.connections_max.filter(|max| *max < self.connections_per_node) {
            let per_node = self.connections_per_node;
            return Err(ConfigError::conflict(
                "connections_per_node",
                format!("{per_node} is more than the connections_max of {max}"),
            ));
        }
        let sizes = [
            ("node_bytes_max", self.node_bytes_max),
            ("reply_bytes_max", self.reply_bytes_max),
            ("subscription_bytes_max", self.subscription_bytes_max),
        ];
        match sizes.into_iter().find(|(_, size)| *size == 0) {
            Some((key, size)) => {
                Err(ConfigError::value(key, size.to_text(), "a size of at least one byte"))
            }
            None => Ok(()),
        }
    }
}

/// Checks that a user name has a password. The error does not show the name: it may be a password
/// without its colon.
fn check_credentials(key: &'static str, user: bool, password: bool) -> Result<(), ConfigError> {
    if user && !password {
        return Err(ConfigError::conflict(
            key,
            "needs a password: in a URL write `user:password@`, or `:password@` for the default \
             user",
        ));
    }
    Ok(())
}

/// Checks that no two addresses map to the same one: two nodes behind one address would redirect a
/// command to each other without end.
fn check_address_map(map: &BTreeMap<Endpoint, Endpoint>) -> Result<(), ConfigError> {
    for (index, (from, to)) in map.iter().enumerate() {
        if let Some((earlier, _)) = map.iter().take(index).find(|(_, other)| *other == to) {
            return Err(ConfigError::conflict(
                "address_map",
                format!("{earlier} and {from} both lead to {to}"),
            ));
        }
    }
    Ok(())
}
