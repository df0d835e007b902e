//! Times relative to now, for people.

/// Describes the time from `now` to `then`, both in Unix seconds.
pub fn relative(now: u64, then: u64) -> String {
    let words = |seconds: u64| match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    };
    if then > now { format!("in {}", words(then - now)) } else { format!("{} ago", words(now - then)) }
}

#[cfg(test)]
mod tests {
    use super::relative;

    #[test]
    fn describes_times_relative_to_now() {
        for (then, expected) in [
            (1_000_000, "0 s ago"),
            (999_881, "119 s ago"),
            (999_880, "2 min ago"),
            (1_007_199, "in 119 min"),
            (1_007_200, "in 2 h"),
            (1_172_800, "in 2 days"),
        ] {
            assert_eq!(relative(1_000_000, then), expected);
        }
    }
}
