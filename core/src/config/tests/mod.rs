//! Tests of the configuration: its texts, its rules, its round trips.

mod round_trip;
mod rules;
mod texts;

use super::*;

/// A configuration that validates.
fn one_server() -> Config {
    Config::default().endpoints([Endpoint::tcp("h", 6379)])
}

/// The error of a URL.
fn url_error(url: &str) -> ConfigError {
    match Config::from_url(url) {
        Ok(config) => panic!("{url} was taken for {config:?}"),
        Err(error) => error,
    }
}
