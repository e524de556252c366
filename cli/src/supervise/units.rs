//! How configurations write lengths of time and numbers of bytes.

use std::time::Duration;

/// `100ms`, `5s`, `10m`, `2h`, `1d`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

/// `64K`, `10M`, `1G`, powers of 1,024; a bare number is bytes.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text);
    let factor = match unit {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

/// Nanoseconds as the board has them; what does not fit is for ever.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes() {
        let times = ["100ms", "5s", "5", "1.5 s", "10m", "2h", "1d"].map(|text| duration(text).unwrap());
        assert_eq!(
            times.map(|time| time.as_millis()),
            [100, 5_000, 5_000, 1_500, 600_000, 7_200_000, 86_400_000]
        );
        for bad in ["", "s", "5 weeks", "-1s", "1.2.3s", "1e999d"] {
            assert_eq!(duration(bad), None, "{bad:?}");
        }
        assert_eq!(["7", "64K", "10 M", "1G"].map(bytes), [7, 1 << 16, 10 << 20, 1 << 30].map(Some));
        for bad in ["", "1T", "1.5M", "-1", "99999999999G"] {
            assert_eq!(bytes(bad), None, "{bad:?}");
        }
    }
}
