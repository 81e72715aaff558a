//! Numbers as servers print them.
//!
//! A client may compare texts, so the digits matter: scores are printed with the shortest digits
//! that read back, in exponent form only where the server's own printer uses it. Sums of
//! `INCRBYFLOAT` are in `long_double`.

/// Whole numbers below this are printed as integers: `double2ll` in `util.c`.
const INTEGER_MAX: f64 = (i64::MAX / 2) as f64;

/// A double as `ZSCORE` prints it.
pub(crate) fn double(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".to_owned() } else { "-inf".to_owned() };
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0".to_owned() } else { "0".to_owned() };
    }
    if value.abs() < INTEGER_MAX && value.fract() == 0.0 {
        return (value as i64).to_string();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("{:e} prints an exponent");
    let exponent: i32 = exponent.parse().expect("{:e} prints a number as exponent");
    let digits = mantissa.chars().filter(char::is_ascii_digit).count() as i32;
    // The power of ten that the digits, read as an integer, are multiplied by.
    let scale = exponent - digits + 1;
    let plain = (scale >= 0 && exponent.abs() < digits + 7)
        || (scale < 0 && (scale > -7 || exponent.abs() < 4));
    if plain {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{}", exponent.abs())
}

/// A finite or infinite number, without surrounding space. Digits that no double can hold are no
/// number, too large or too small.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    if let Some(value) = hexadecimal(text) {
        return Some(value);
    }
    let value = parse_bound(text).filter(|_| !text.is_empty())?;
    let digits = text.split(['e', 'E']).next().unwrap_or_default();
    let infinite = digits.bytes().any(|b| b.is_ascii_digit()) && value.is_infinite();
    let vanished = digits.bytes().any(|b| (b'1'..=b'9').contains(&b)) && value == 0.0;
    if infinite || vanished { None } else { Some(value) }
}

/// A side of a range of scores, which servers read less strictly: nothing is zero, digits may be
/// out of range, and there are no hexadecimal ones.
pub(crate) fn parse_bound(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let value: f64 = match text {
        "" => 0.0,
        _ if plain => text.parse().ok()?,
        _ => return None,
    };
    if value.is_nan() { None } else { Some(value) }
}

/// A whole number in hexadecimal digits, which servers read as C does.
fn hexadecimal(text: &str) -> Option<f64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"))?;
    let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
    let value = u64::from_str_radix(digits, 16).ok().filter(|_| plain)? as f64;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_look_as_the_server_prints_them() {
        let table = [
            (0.0, "0"),
            (3.0, "3"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (1e17, "100000000000000000"),
            (1_234_567_890_123_456_789.0, "1234567890123456768"),
            (-0.0, "-0"),
            (1e20, "1e+20"),
            (1e6, "1000000"),
            (1.234_567_890_123e-9, "1.234567890123e-9"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, text) in table {
            assert_eq!(double(value), text);
        }
    }
}
