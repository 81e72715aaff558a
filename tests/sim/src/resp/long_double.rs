//! Sums of the 80-bit floating-point numbers of x86, which INCRBYFLOAT and HINCRBYFLOAT show in
//! decimal: 64 bits of mantissa, rounded to even.
//!
//! Limits: texts of at most [`TEXT_MAX`] bytes; there are no subnormal numbers.
//!
//! Spec: `string2ld` and `ld2string` in `util.c`.

use std::cmp::Ordering;

/// The longest text that is a number.
const TEXT_MAX: usize = 5 * 1024;
/// The greatest binary exponent of a mantissa of 64 bits, and the least.
const EXPONENT_MAX: i64 = 16383 - 63;
const EXPONENT_MIN: i64 = -16382 - 63;
/// Beyond this power of ten a number is out of range, whatever its digits.
const TENS_MAX: i64 = 5000;
/// Digits behind the point.
const FRACTION_DIGITS: usize = 17;

/// `a + b` as INCRBYFLOAT shows it; `None` when one is no number, or the sum is not finite.
pub(crate) fn long_double_sum(a: &str, b: &str) -> Option<String> {
    Some(LongDouble::parse(a)?.plus(&LongDouble::parse(b)?)?.to_string())
}

/// Whether a text is a finite number of this kind.
pub(crate) fn is_long_double(text: &str) -> bool {
    LongDouble::parse(text).is_some()
}

/// A finite number: `mantissa` times two to the power of `exponent`. The highest bit of the
/// mantissa is set, unless the number is zero.
#[derive(Clone, Copy, Debug)]
struct LongDouble {
    /// It has a minus sign.
    negative: bool,
    /// Its digits.
    mantissa: u64,
    /// The power of two.
    exponent: i64,
}

impl LongDouble {
    fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
        if let Some(digits) = hexadecimal.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit())) {
            let number = u64::from_str_radix(digits, 16).ok()?;
            return Big::from(number).round(negative, 0, false);
        }
        let (digits, tens) = match digits.split_once(['e', 'E']) {
            Some((digits, tens)) => (digits, tens.parse::<i64>().ok()?),
            None => (digits, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = text.len() <= TEXT_MAX
            && whole.len() + fraction.len() > 0
            && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
        if !plain {
            return None;
        }
        let mut number = Big::default();
        for digit in whole.bytes().chain(fraction.bytes()) {
            number.multiply_and_add(10, u32::from(digit - b'0'));
        }
        if number.bits() == 0 {
            return Some(Self { negative, mantissa: 0, exponent: 0 });
        }
        let tens = tens.checked_sub(fraction.len() as i64)?;
        if !(-TENS_MAX - TEXT_MAX as i64..=TENS_MAX).contains(&tens) {
            return None;
        }
        if tens >= 0 {
            (0..tens).for_each(|_| number.multiply_and_add(10, 0));
            return number.round(negative, 0, false);
        }
        // So many bits more that the quotient keeps more than a mantissa.
        let shift = 4 * tens.unsigned_abs() as usize + 128;
        number.shift_left(shift);
        let mut inexact = false;
        for _ in 0..tens.unsigned_abs() {
            inexact |= number.divide(10) != 0;
        }
        number.round(negative, -(shift as i64), inexact)
    }

    fn plus(&self, other: &Self) -> Option<Self> {
        if self.mantissa == 0 || other.mantissa == 0 {
            return Some(if self.mantissa == 0 { *other } else { *self });
        }
        let exponent = self.exponent.min(other.exponent);
        let aligned = |number: &Self| {
            let mut big = Big::from(number.mantissa);
            big.shift_left((number.exponent - exponent) as usize);
            big
        };
        let (mut a, mut b) = (aligned(self), aligned(other));
        if self.negative == other.negative {
            a.add(&b);
            return a.round(self.negative, exponent, false);
        }
        match a.compare(&b) {
            Ordering::Equal => Some(Self { negative: false, mantissa: 0, exponent: 0 }),
            Ordering::Greater => {
                a.subtract(&b);
                a.round(self.negative, exponent, false)
            }
            Ordering::Less => {
                b.subtract(&a);
                b.round(other.negative, exponent, false)
            }
        }
    }
}

impl std::fmt::Display for LongDouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = if self.exponent >= 0 {
            let mut whole = Big::from(self.mantissa);
            whole.shift_left(self.exponent as usize);
            whole.to_decimal()
        } else {
            let shift = self.exponent.unsigned_abs();
            let scaled = u128::from(self.mantissa) * 10_u128.pow(FRACTION_DIGITS as u32);
            // What is shifted further out is less than half of the last digit.
            let (mut units, rest, half) = match shift {
                ..128 => (scaled >> shift, scaled & ((1 << shift) - 1), 1 << (shift - 1)),
                _ => (0, 0, 1),
            };
            if rest > half || rest == half && units % 2 == 1 {
                units += 1;
            }
            let digits = format!("{units:0>width$}", width = FRACTION_DIGITS + 1);
            let (whole, fraction) = digits.split_at(digits.len() - FRACTION_DIGITS);
            format!("{whole}.{fraction}").trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        if self.negative && text != "0" { write!(f, "-{text}") } else { f.write_str(&text) }
    }
}

/// A natural number, in groups of 32 bits, the lowest first; the highest group is not zero.
#[derive(Clone, Debug, Default)]
struct Big(Vec<u32>);

impl From<u64> for Big {
    fn from(number: u64) -> Self {
        let mut big = Self(vec![number as u32, (number >> 32) as u32]);
        big.trim();
        big
    }
}

impl Big {
    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn bits(&self) -> usize {
        self.0.last().map_or(0, |last| self.0.len() * 32 - last.leading_zeros() as usize)
    }

    fn bit(&self, at: usize) -> bool {
        self.0.get(at / 32).is_some_and(|group| group >> (at % 32) & 1 == 1)
    }

    fn multiply_and_add(&mut self, factor: u32, more: u32) {
        let mut carry = u64::from(more);
        for group in &mut self.0 {
            let product = u64::from(*group) * u64::from(factor) + carry;
            *group = product as u32;
            carry = product >> 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    /// Divides, and returns the rest.
    fn divide(&mut self, divisor: u32) -> u32 {
        let mut rest = 0;
        for group in self.0.iter_mut().rev() {
            let value = rest << 32 | u64::from(*group);
            *group = (value / u64::from(divisor)) as u32;
            rest = value % u64::from(divisor);
        }
        self.trim();
        rest as u32
    }

    fn shift_left(&mut self, bits: usize) {
        self.multiply_and_add(1 << (bits % 32), 0);
        if !self.0.is_empty() {
            self.0.splice(0..0, std::iter::repeat_n(0, bits / 32));
        }
    }

    fn add(&mut self, other: &Self) {
        let mut carry = 0;
        for at in 0..self.0.len().max(other.0.len()) {
            if at == self.0.len() {
                self.0.push(0);
            }
            let sum = u64::from(self.0[at]) + other.0.get(at).map_or(0, |g| u64::from(*g)) + carry;
            self.0[at] = sum as u32;
            carry = sum >> 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    /// Subtracts a number that is not greater.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = 0;
        for at in 0..self.0.len() {
            let taken = other.0.get(at).map_or(0, |g| i64::from(*g)) + borrow;
            let rest = i64::from(self.0[at]) - taken;
            borrow = i64::from(rest < 0);
            self.0[at] = rest as u32;
        }
        self.trim();
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_length = self.0.len().cmp(&other.0.len());
        by_length.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    fn to_decimal(&self) -> String {
        let (mut rest, mut groups) = (self.clone(), Vec::new());
        while rest.bits() > 0 {
            groups.push(rest.divide(1_000_000_000));
        }
        let first = groups.pop().map_or("0".to_owned(), |group| group.to_string());
        groups.iter().rev().fold(first, |text, group| text + &format!("{group:0>9}"))
    }

    /// This times two to the power of `exponent`, to the nearest mantissa. `inexact` says that a
    /// part below the last bit is missing.
    fn round(&self, negative: bool, exponent: i64, inexact: bool) -> Option<LongDouble> {
        let bits = self.bits();
        if bits == 0 {
            return Some(LongDouble { negative, mantissa: 0, exponent: 0 });
        }
        let dropped = bits as i64 - 64;
        let at = |index: i64| usize::try_from(index).is_ok_and(|index| self.bit(index));
        let top = (0..64).fold(0_u64, |top, step| top << 1 | u64::from(at(bits as i64 - 1 - step)));
        let below = inexact || (0..dropped - 1).any(at);
        let up = at(dropped - 1) && (below || top % 2 == 1);
        let mut exponent = exponent + dropped;
        let mantissa = match top.checked_add(u64::from(up)) {
            Some(mantissa) => mantissa,
            None => {
                exponent += 1;
                1 << 63
            }
        };
        let in_range = (EXPONENT_MIN..=EXPONENT_MAX).contains(&exponent);
        in_range.then_some(LongDouble { negative, mantissa, exponent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_redis() {
        let table = [
            ("0.1", "0.2", Some("0.3")),
            ("10.50", "0.1", Some("10.6")),
            ("5.0e3", "2.0e2", Some("5200")),
            ("-1", "0.25", Some("-0.75")),
            ("3", "-3", Some("0")),
            ("-0", "-0.0", Some("0")),
            ("3200", "1e-5", Some("3200.00001000000000007")),
            ("3200.00001000000000007", "-0.1", Some("3199.90000999999999998")),
            ("10", "18446744073709551615", Some("18446744073709551624")),
            ("2", "18446744073709551615", Some("18446744073709551616")),
            ("100000000000000000", "10", Some("100000000000000010")),
            ("1e20", "0.1", Some("100000000000000000000")),
            ("1e-4000", "0", Some("0")),
            ("0x10", "1", Some("17")),
            ("1e5000", "1", None),
            ("x", "1", None),
            ("", "1", None),
            ("1", "inf", None),
            ("1", "nan", None),
            ("1 ", "1", None),
            ("1e", "1", None),
        ];
        for (a, b, sum) in table {
            assert_eq!(long_double_sum(a, b).as_deref(), sum, "{a} + {b}");
        }
    }
}
