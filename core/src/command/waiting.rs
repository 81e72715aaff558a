//! How long a command waits at the server by its own argument, read out of the command.
//!
//! **Invariant**: an argument that cannot be read counts as no end, so that no command is cut short
//! of what it asked for; a server refuses such an argument at once.
//! Spec: the page of each command at redis.io/commands; the unit is seconds with fractions for the
//! commands of lists and sorted sets, milliseconds for all others, and 0 is without end.

use super::{Command, Flags};
use std::time::Duration;

/// How long a command waits at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerWait {
    /// It is answered as soon as it has run.
    None,
    /// At most this long.
    UpTo(Duration),
    /// Until something happens.
    Endless,
}

/// The unit of a time argument.
#[derive(Clone, Copy)]
enum Unit {
    /// Seconds, with a fraction.
    Seconds,
    /// Milliseconds.
    Millis,
}

impl Command {
    /// Whether its reply may come much later, so that it needs a connection of its own.
    pub(crate) fn is_blocking(&self) -> bool {
        if !self.spec().flags().contains(Flags::BLOCKING) {
            return false;
        }
        let blocks_by_option = matches!(self.spec().name(), "XREAD" | "XREADGROUP");
        !blocks_by_option || self.block_option() != ServerWait::None
    }

    /// How long it waits at the server by its own argument.
    pub(crate) fn server_wait(&self) -> ServerWait {
        let last = self.count().saturating_sub(1);
        match self.spec().name() {
            "BLPOP" | "BRPOP" | "BZPOPMIN" | "BZPOPMAX" | "BLMOVE" | "BRPOPLPUSH" => {
                self.wait_at(last, Unit::Seconds)
            }
            "BLMPOP" | "BZMPOP" => self.wait_at(1, Unit::Seconds),
            "WAIT" => self.wait_at(2, Unit::Millis),
            "WAITAOF" => self.wait_at(3, Unit::Millis),
            // A server takes a time of 0 for one second; nothing is lost by waiting for longer.
            "MIGRATE" => self.wait_at(5, Unit::Millis),
            "XREAD" | "XREADGROUP" => self.block_option(),
            _ if self.is_blocking() => ServerWait::Endless,
            _ => ServerWait::None,
        }
    }

    fn wait_at(&self, index: usize, unit: Unit) -> ServerWait {
        self.args_iter().nth(index).map_or(ServerWait::Endless, |arg| parse(arg, unit))
    }

    /// The option BLOCK of XREAD and XREADGROUP. The words before it are read one by one, because a
    /// group or a consumer may have the name of an option.
    fn block_option(&self) -> ServerWait {
        let mut args = self.args_iter().skip(1);
        while let Some(word) = args.next() {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            if is("BLOCK") {
                return args.next().map_or(ServerWait::Endless, |arg| parse(arg, Unit::Millis));
            } else if is("STREAMS") {
                break;
            } else if is("GROUP") {
                args.next();
                args.next();
            } else if is("COUNT") || is("CLAIM") {
                args.next();
            }
        }
        ServerWait::None
    }
}

/// Reads digits with at most one point. Numbers with an exponent count as unreadable: the tables of
/// the standard library's floats are a fiftieth of a small WebAssembly program.
fn parse(arg: &[u8], unit: Unit) -> ServerWait {
    let text = std::str::from_utf8(arg).unwrap_or_default();
    let (is_negative, number) = match text.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, text),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && !fraction.contains('.')
        && number.bytes().any(|byte| byte.is_ascii_digit());
    let units = if whole.is_empty() { Ok(0) } else { whole.parse::<u64>() };
    let wait = match (units, unit) {
        (Ok(units), Unit::Millis) if fraction.is_empty() => Some(Duration::from_millis(units)),
        (Ok(units), Unit::Seconds) => Some(Duration::new(units, nanoseconds(fraction))),
        _ => None,
    };
    match wait {
        // Refused at once.
        Some(wait) if is_number && is_negative && !wait.is_zero() => {
            ServerWait::UpTo(Duration::ZERO)
        }
        Some(wait) if is_number && !wait.is_zero() => ServerWait::UpTo(wait),
        _ => ServerWait::Endless,
    }
}

/// What the digits behind the point are worth, rounded up, so that no wait is cut short.
fn nanoseconds(fraction: &str) -> u32 {
    let digits = fraction.bytes().map(|byte| u32::from(byte.wrapping_sub(b'0').min(9)));
    let nanos = digits.clone().chain(std::iter::repeat(0)).take(9).fold(0, |sum, d| sum * 10 + d);
    (nanos + u32::from(digits.skip(9).any(|digit| digit > 0))).min(999_999_999)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::cmd;

    fn wait(text: &str) -> ServerWait {
        let mut words = text.split(' ');
        let name = words.next().unwrap_or_default();
        words.fold(cmd(name), |command, word| command.arg(word)).server_wait()
    }

    #[test]
    fn the_time_is_found_where_each_command_has_it() {
        let ms = |millis| ServerWait::UpTo(Duration::from_millis(millis));
        let table = [
            ("BLPOP a b 1", ms(1000)),
            ("blpop a 0.25", ms(250)),
            ("BRPOP a 0", ServerWait::Endless),
            ("BRPOPLPUSH a b 3", ms(3000)),
            ("BLMOVE a b LEFT RIGHT 1.5", ms(1500)),
            ("BLMPOP 2 1 k LEFT", ms(2000)),
            ("BZMPOP 2 1 k MIN", ms(2000)),
            ("BZPOPMIN a b 7", ms(7000)),
            ("BZPOPMAX a 0.0", ServerWait::Endless),
            ("WAIT 1 500", ms(500)),
            ("WAIT 1 0", ServerWait::Endless),
            ("WAITAOF 1 2 600", ms(600)),
            ("MIGRATE h 1 k 0 900 COPY", ms(900)),
            ("XREAD STREAMS s $", ServerWait::None),
            ("XREAD COUNT 2 BLOCK 1000 STREAMS s $", ms(1000)),
            ("XREAD BLOCK 0 STREAMS s $", ServerWait::Endless),
            ("xread block 20 streams s $", ms(20)),
            ("XREADGROUP GROUP g c BLOCK 40 STREAMS s >", ms(40)),
            ("XREADGROUP GROUP BLOCK 7 STREAMS s >", ServerWait::None),
            ("XREADGROUP GROUP STREAMS BLOCK BLOCK 30 NOACK STREAMS s >", ms(30)),
            ("XREADGROUP GROUP g c CLAIM 5 BLOCK 30 STREAMS s >", ms(30)),
            ("XREAD STREAMS BLOCK 1", ServerWait::None),
            ("GET k", ServerWait::None),
            // What a server refuses at once, and what cannot be read.
            ("BLPOP a -1", ms(0)),
            ("BLPOP a soon", ServerWait::Endless),
            ("BLPOP a -0.5", ms(0)),
            ("BLPOP a .5", ms(500)),
            ("BLPOP a 5.", ms(5000)),
            ("BLPOP a 0.0000000001", ServerWait::UpTo(Duration::from_nanos(1))),
            ("BLPOP a 0.9999999999", ServerWait::UpTo(Duration::from_nanos(999_999_999))),
            ("BLPOP a .", ServerWait::Endless),
            ("BLPOP a -0", ServerWait::Endless),
            ("BLPOP a 1.2.3", ServerWait::Endless),
            ("BLPOP a 1e3", ServerWait::Endless),
            ("XREAD BLOCK 1.5 STREAMS s $", ServerWait::Endless),
            ("BLPOP a nan", ServerWait::Endless),
            ("BLPOP a inf", ServerWait::Endless),
            ("BLPOP", ServerWait::Endless),
            ("XREAD BLOCK", ServerWait::Endless),
            ("XREAD BLOCK 99999999999999999999 STREAMS s $", ServerWait::Endless),
        ];
        for (text, expected) in table {
            assert_eq!(wait(text), expected, "{text}");
        }
    }

    #[test]
    fn only_what_waits_needs_a_connection_of_its_own() {
        for (text, blocks) in [
            ("XREADGROUP GROUP STREAMS BLOCK BLOCK 30 STREAMS s >", true),
            ("XREADGROUP GROUP BLOCK 7 STREAMS s >", false),
            ("XREAD COUNT 1 STREAMS BLOCK 0", false),
            ("BLPOP a 1", true),
            ("MIGRATE h 1 k 0 900", false),
        ] {
            let mut words = text.split(' ');
            let name = words.next().unwrap_or_default();
            let command = words.fold(cmd(name), |command, word| command.arg(word));
            assert_eq!(command.is_blocking(), blocks, "{text}");
        }
    }
}
