//! `known_flaky.txt`: tests that may fail beside others as long as they pass alone.
//!
//! Limits: [`LINES_MAX`] lines, each for [`DAYS_MAX`] days. A line that is older, or not
//! well-formed, fails `cargo xtask test` before any test runs. Nothing checks that a test of that
//! name exists.

use super::report::Target;
use std::time::{SystemTime, UNIX_EPOCH};

/// The list itself.
pub(super) const LIST: &str = include_str!("known_flaky.txt");

/// More is no list of exceptions.
const LINES_MAX: usize = 5;

/// How long a test may stay on the list, in days.
const DAYS_MAX: i64 = 60;

/// A line of the list.
#[derive(Debug, PartialEq)]
pub(super) struct Known {
    /// The target, as [`Target`] shows itself.
    target: String,
    /// The test's name.
    name: String,
    /// Since when, and why.
    pub(super) reason: String,
}

impl Known {
    /// Whether the line is about this test.
    pub(super) fn is(&self, target: &Target, name: &str) -> bool {
        self.target == target.to_string() && self.name == name
    }
}

/// Reads the list; `today` is in days since 1970.
pub(super) fn parse(text: &str, today: i64) -> Result<Vec<Known>, String> {
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let known = lines.map(|(at, line)| {
        let bad = |why: &str| format!("known_flaky.txt:{}: {why}: {line}", at + 1);
        let parts: Vec<&str> = line.split('|').map(str::trim).collect();
        let [test, date, reason] = parts[..] else {
            return Err(bad("expected `PACKAGE/TARGET TEST | YEAR-MONTH-DAY | REASON`"));
        };
        let Some((target, name)) = test.split_once(' ').filter(|(t, _)| t.contains('/')) else {
            return Err(bad("expected `PACKAGE/TARGET TEST` first"));
        };
        let days = days(date).ok_or_else(|| bad("the date is no YEAR-MONTH-DAY"))?;
        if reason.is_empty() {
            return Err(bad("no reason"));
        }
        if days > today + 1 {
            return Err(bad("the date is in the future"));
        }
        if today - days > DAYS_MAX {
            let why = format!("older than {DAYS_MAX} days: repair the test, or remove it");
            return Err(bad(&why));
        }
        let (target, name) = (target.to_owned(), name.trim().to_owned());
        Ok(Known { target, name, reason: format!("{reason} (since {date})") })
    });
    let known = known.collect::<Result<Vec<_>, _>>()?;
    if known.len() > LINES_MAX {
        return Err(format!("known_flaky.txt: {} tests; at most {LINES_MAX}", known.len()));
    }
    Ok(known)
}

/// Today, in days since 1970.
pub(super) fn today() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs() / 86_400).unwrap_or(i64::MAX)
}

/// The days from 1970-01-01 to this date of the Gregorian calendar.
fn days(date: &str) -> Option<i64> {
    let numbers: Vec<i64> = date.split('-').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [year, month, day] = numbers[..] else { return None };
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let of_month = |month| match month {
        2 => 28 + i64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let valid = (1970..10_000).contains(&year) && (1..=12).contains(&month);
    if !valid || !(1..=of_month(month)).contains(&day) {
        return None;
    }
    let years: i64 = (1970..year).map(|year| 365 + i64::from(leap(year))).sum();
    Some(years + (1..month).map(of_month).sum::<i64>() + day - 1)
}

#[cfg(test)]
mod tests {
    use super::super::report::Report;
    use super::*;

    #[test]
    fn dates_are_counted_in_days() {
        let table = [
            ("1970-01-01", Some(0)),
            ("2000-03-01", Some(11_017)),
            ("2024-02-29", Some(19_782)),
            ("2026-11-30", Some(20_787)),
            ("2023-02-29", None),
            ("2026-13-01", None),
            ("2026-11", None),
            ("yesterday", None),
        ];
        for (date, expected) in table {
            assert_eq!(days(date), expected, "{date}");
        }
    }

    #[test]
    fn lines_are_whole_and_young() {
        let today = days("2026-11-30").expect("a date");
        let line = "slotcar-tests/cluster a::b | 2026-10-01 | the bus is slow";
        let known = parse(&format!("# head\n\n{line}\n"), today).expect("well-formed");
        let error = "error: test failed, to rerun pass `-p slotcar-tests --test cluster`";
        let (target, _) = Report::of(error).failed.pop_first().expect("one");
        assert!(known[0].is(&target, "a::b") && !known[0].is(&target, "a::c"));
        assert_eq!(known[0].reason, "the bus is slow (since 2026-10-01)");
        let bad = [
            ("a/b c | 2026-11-30", "expected"),
            ("a/b | 2026-11-30 | why", "expected"),
            ("b c | 2026-11-30 | why", "expected"),
            ("a/b c | 30 Nov | why", "YEAR-MONTH-DAY"),
            ("a/b c | 2026-11-30 |", "no reason"),
            ("a/b c | 2026-12-24 | why", "in the future"),
            ("a/b c | 2026-09-30 | why", "older than 60 days"),
        ];
        for (line, expected) in bad {
            let error = parse(line, today).expect_err(line);
            assert!(error.contains(expected) && error.starts_with("known_flaky.txt:1"), "{error}");
        }
        assert!(parse(&format!("{line}\n").repeat(6), today).expect_err("6").contains("at most 5"));
    }

    #[test]
    fn the_list_is_well_formed() {
        // The dates are checked when tests run, not here: a build of today passes next year, too.
        let lines = LIST.lines().filter(|line| !line.starts_with('#'));
        let at = lines.filter_map(|line| days(line.split('|').nth(1)?.trim())).max();
        assert!(parse(LIST, at.unwrap_or(0)).is_ok());
    }
}
