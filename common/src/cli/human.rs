//! Numbers as people read them: three significant digits and a unit.

use std::time::Duration;

/// A count or a rate: `950`, `1.2k`, `34.5M`.
pub fn count(value: f64) -> String {
    scaled(value, 1000.0, &["", "k", "M", "G", "T", "P"])
}

/// A size in bytes, in binary units: `512 B`, `3.4 MiB`.
pub fn bytes(value: u64) -> String {
    scaled(value as f64, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"])
}

/// A duration: `850 ns`, `12.3 µs`, `1.5 s`, `2 min 05 s`.
pub fn duration(value: Duration) -> String {
    let secs = value.as_secs();
    if secs >= 60 {
        let minutes = secs / 60;
        return if minutes < 60 {
            format!("{minutes} min {:02} s", secs % 60)
        } else {
            format!("{} h {:02} min", minutes / 60, minutes % 60)
        };
    }
    let nanos = value.as_nanos() as f64;
    if nanos < 1.0 {
        return "0 s".to_owned();
    }
    scaled(nanos, 1000.0, &[" ns", " µs", " ms", " s"])
}

/// A rate per second: `125k/s`.
pub fn rate(per_second: f64) -> String {
    format!("{}/s", count(per_second))
}

/// A ratio to a peer or to a baseline: `1.25x`.
pub fn ratio(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}x") } else { "n/a".to_owned() }
}

/// A share of one: `0.25` is `25 %`.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{} %", digits(share * 100.0)) } else { "n/a".to_owned() }
}

/// All digits of a number, in groups of three: `1,234,567`.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The value in the largest unit in which it is at least one, or in the last.
fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    if !value.is_finite() {
        return "n/a".to_owned();
    }
    let mut rest = value;
    let mut unit = 0;
    // 999.6 would be printed as 1000: it belongs to the next unit already.
    while rest.abs() >= step - 0.5 && unit + 1 < units.len() {
        rest /= step;
        unit += 1;
    }
    format!("{}{}", digits(rest), units[unit])
}

/// Three significant digits at most below a thousand, and no zeros that say nothing.
fn digits(value: f64) -> String {
    let magnitude = value.abs();
    let text = if magnitude >= 99.95 {
        format!("{value:.0}")
    } else if magnitude >= 0.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
