//! Numbers with units, as people read them.

use annal::Timestamp;

/// `1,234,567`
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `12.3 MiB`
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1 << 10 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    for larger in units {
        if value < 1_023.95 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

/// Three significant digits with the unit that fits: `730 ns`, `5.57 ms`, `2 min 3 s`.
pub(crate) fn duration(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    let text = match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..999_500 => format!("{} µs", three_digits(ns as f64 / 1e3)),
        999_500..999_500_000 => format!("{} ms", three_digits(ns as f64 / 1e6)),
        999_500_000..60_000_000_000 => format!("{} s", three_digits(ns as f64 / 1e9)),
        _ => {
            let s = ns / 1_000_000_000;
            match s {
                0..3_600 => format!("{} min {} s", s / 60, s % 60),
                3_600..86_400 => format!("{} h {} min", s / 3_600, s / 60 % 60),
                _ => format!("{} d {} h", s / 86_400, s / 3_600 % 24),
            }
        }
    };
    format!("{sign}{text}")
}

fn three_digits(value: f64) -> String {
    if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// Events per second: `1.52 M/s`, `640 k/s`.
pub(crate) fn rate(n: u64, elapsed_ns: u64) -> String {
    let per_s = n as f64 / (elapsed_ns.max(1) as f64 / 1e9);
    match per_s {
        r if r >= 999_500.0 => format!("{} M/s", three_digits(r / 1e6)),
        r if r >= 999.5 => format!("{} k/s", three_digits(r / 1e3)),
        r => format!("{}/s", three_digits(r)),
    }
}

/// RFC 3339 in UTC, to the millisecond.
pub(crate) fn time(time: Timestamp) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(time.as_ns())) {
        Ok(instant) => format!("{instant:.3}"),
        Err(_) => format!("{} ns", time.as_ns()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits_and_change_units_where_they_round_up() {
        let cases: [(i64, &str); 12] = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (5_574_945, "5.57 ms"),
            (99_949_999, "99.9 ms"),
            (362_453_273, "362 ms"),
            (59_999_000_000, "60.0 s"),
            (123_000_000_000, "2 min 3 s"),
            (-1_500, "-1.50 µs"),
            (i64::MIN, "-106751 d 23 h"),
        ];
        for (ns, text) in cases {
            assert_eq!(duration(ns), text, "{ns}");
        }
    }

    #[test]
    fn counts_bytes_and_rates_read_easily() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(12), "12");
        assert_eq!(bytes(1_023), "1023 B");
        assert_eq!(bytes(1 << 20), "1.0 MiB");
        assert_eq!(bytes((1 << 20) - 1), "1.0 MiB");
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
        assert_eq!(rate(1_500_000, 1_000_000_000), "1.50 M/s");
        assert_eq!(rate(5, 0), "5000 M/s");
    }

    #[test]
    fn times_are_utc_to_the_millisecond_and_never_fail() {
        assert_eq!(time(Timestamp(1_661_140_374_351_773_094)), "2022-08-22T03:52:54.351Z");
        assert_eq!(time(Timestamp(-1)), "1969-12-31T23:59:59.999Z");
        assert_eq!(time(Timestamp::MIN), "1677-09-21T00:12:43.145Z");
    }
}
