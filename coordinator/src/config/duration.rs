//! Lengths of time as people write them: `250ms`, `90s`, `7d`, `1h30m`.

use std::{fmt::Write, time::Duration};

/// Milliseconds of each unit, the largest first.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads `7d`, `1h30m`, `250ms`; the error says what is wrong, and reads on after a key's name.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "`{text}` is not a length of time: give a number and d, h, m, s or ms, such as 7d or 1h30m"
        )
    };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut millis = 0_u64;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, behind) = rest.split_at(digits);
        let letters = behind.len()
            - behind
                .trim_start_matches(|c: char| c.is_ascii_alphabetic())
                .len();
        let (unit, behind) = behind.split_at(letters);
        let of_unit = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(wrong)?
            .1;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        millis = number
            .checked_mul(of_unit)
            .and_then(|more| millis.checked_add(more))
            .ok_or_else(|| format!("`{text}` is too long"))?;
        rest = behind.trim_start();
    }
    Ok(Duration::from_millis(millis))
}

/// Writes it so that [`parse_duration`] reads it back, to the millisecond.
pub fn show_duration(length: Duration) -> String {
    let mut millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (unit, of_unit) in UNITS {
        let count = millis / of_unit;
        if count > 0 {
            let _ = write!(text, "{count}{unit}");
            millis %= of_unit;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_shows() {
        for millis in [0, 1, 999, 1_000, 90_000, 5_400_000, 604_800_000, 93_784_005] {
            let length = Duration::from_millis(millis);
            assert_eq!(parse_duration(&show_duration(length)), Ok(length));
        }
        assert_eq!(parse_duration("1h 30m"), Ok(Duration::from_mins(90)));
        assert_eq!(show_duration(Duration::from_hours(168)), "7d");
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "",
            "7",
            "d",
            "7 days",
            "-1s",
            "1.5h",
            "99999999999999999999d",
            "9999999999999999d",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
