//! Kubernetes quantities as integers, rounded up as Kubernetes does.
//!
//! Invariant: no floats; a quantity that does not fit into an `i64` of the wanted unit saturates. Knows the grammar of
//! `resource.Quantity` (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>), not what it measures.

/// A text that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidQuantity(pub String);

impl std::fmt::Display for InvalidQuantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} is not a quantity such as 500m, 2 or 8Gi", self.0)
    }
}

impl std::error::Error for InvalidQuantity {}

/// The quantity in thousandths, rounded up: `500m` → 500, `2` → 2000.
pub fn milli(text: &str) -> Result<i64, InvalidQuantity> {
    scaled(text, 1000)
}

/// The quantity in whole units, rounded up: `1Ki` → 1024, `500m` → 1.
pub fn units(text: &str) -> Result<i64, InvalidQuantity> {
    scaled(text, 1)
}

/// Digits in front of the point that are looked at; a number with more does not fit anyway.
const DIGITS: usize = 19;
/// Digits after the point that are looked at.
const PLACES: usize = 18;

fn scaled(text: &str, per_unit: i128) -> Result<i64, InvalidQuantity> {
    let invalid = || InvalidQuantity(text.to_owned());
    let unsigned = text.trim_start_matches(['+', '-']);
    if text.len() - unsigned.len() > 1 {
        return Err(invalid());
    }
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(invalid());
    }
    let (numerator, denominator) = multiplier(suffix).ok_or_else(invalid)?;
    // More places than these only say whether it is a little more.
    let (places, rest) = fraction.split_at(fraction.len().min(PLACES));
    let is_more = rest.bytes().any(|digit| digit != b'0');
    let whole = whole.trim_start_matches('0');
    let digits =
        if whole.len() > DIGITS { i128::MAX } else { format!("0{whole}{places}").parse().map_err(|_| invalid())? };
    let up = digits.saturating_mul(numerator).saturating_mul(per_unit);
    let down = power(places.len()).saturating_mul(denominator);
    let magnitude = up / down + i128::from(up % down != 0 || is_more);
    let signed = if text.starts_with('-') { -magnitude } else { magnitude };
    Ok(i64::try_from(signed).unwrap_or(if signed < 0 { i64::MIN } else { i64::MAX }))
}

fn multiplier(suffix: &str) -> Option<(i128, i128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (power(15), 1),
        "E" => (power(18), 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        exponent => {
            let digits = exponent.strip_prefix(['e', 'E'])?;
            let value: i32 = digits.parse().ok()?;
            let scale = power(value.unsigned_abs() as usize);
            if value < 0 { (1, scale) } else { (scale, 1) }
        }
    })
}

/// A power of ten, or the largest number there is.
fn power(exponent: usize) -> i128 {
    u32::try_from(exponent).ok().and_then(|exponent| 10_i128.checked_pow(exponent)).unwrap_or(i128::MAX)
}

/// Thousandths as people write them: 500 → `500m`, 2000 → `2`.
pub fn format_milli(milli: i64) -> String {
    if milli % 1000 == 0 { (milli / 1000).to_string() } else { format!("{milli}m") }
}

/// Bytes as people write them: the largest binary suffix that is exact, else Mi rounded down.
pub fn format_bytes(bytes: i64) -> String {
    for (shift, suffix) in [(30, "Gi"), (20, "Mi"), (10, "Ki")] {
        if bytes != 0 && bytes % (1_i64 << shift) == 0 {
            return format!("{}{suffix}", bytes >> shift);
        }
    }
    if bytes >= 1 << 30 { format!("{}Mi", bytes >> 20) } else { bytes.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, in_milli, in_units) in [
            ("0", 0, 0),
            ("1", 1000, 1),
            ("250m", 250, 1),
            ("1.5", 1500, 2),
            (".5", 500, 1),
            ("1.", 1000, 1),
            ("1Ki", 1_024_000, 1024),
            ("1.5Gi", 1_610_612_736_000, 1_610_612_736),
            ("1e3", 1_000_000, 1000),
            ("1E3", 1_000_000, 1000),
            ("12e-1", 1200, 2),
            ("1n", 1, 1),
            ("100u", 1, 1),
            ("2k", 2_000_000, 2000),
            ("-1", -1000, -1),
            ("+3", 3000, 3),
            ("9Ei", i64::MAX, i64::MAX),
            ("1e19", i64::MAX, i64::MAX),
            ("1e21", i64::MAX, i64::MAX),
            ("1e40", i64::MAX, i64::MAX),
            ("-1e99", i64::MIN, i64::MIN),
            ("0e99", 0, 0),
            ("1e-40", 1, 1),
            ("100000000000000000000000000000000000000000", i64::MAX, i64::MAX),
            ("000000000000000000000000000000000000000001", 1000, 1),
            ("0.000000000000000000000000000000000000000001", 1, 1),
            ("1.000000000000000000000000000000000000000000", 1000, 1),
            ("1.000000000000000000000000000000000000000001", 1001, 2),
        ] {
            assert_eq!(milli(text), Ok(in_milli), "{text} in thousandths");
            assert_eq!(units(text), Ok(in_units), "{text} in units");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "m", "1x", "1 Gi", "--1", "1.2.3", "Gi", "e3", "1e9x", "ten", "1ki"] {
            assert!(milli(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn quantities_are_shown_as_people_write_them() {
        assert_eq!(format_milli(250), "250m");
        assert_eq!(format_milli(2000), "2");
        assert_eq!(format_bytes(8 << 30), "8Gi");
        assert_eq!(format_bytes(256 << 20), "256Mi");
        assert_eq!(format_bytes(1000), "1000");
    }
}
