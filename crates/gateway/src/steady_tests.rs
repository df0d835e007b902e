use super::*;

const BOOT: u64 = 1_800_000_000;
const HOUR: u64 = 3600;

/// A machine that booted at `BOOT`, `running` seconds ago, and whose wall clock was changed by `step`.
fn reading(running: u64, step: i64) -> Reading {
    Reading {
        wall: Duration::from_secs(BOOT.saturating_add(running).saturating_add_signed(step)),
        running: Duration::from_secs(running),
    }
}

/// A clock that was trusted an hour after boot.
fn clock() -> SteadyClock {
    SteadyClock::new(reading(HOUR, 0))
}

#[track_caller]
fn check(clock: &mut SteadyClock, running: u64, step: i64, expected: Option<i64>) {
    let moment = clock.look(reading(running, step));
    assert_eq!(moment.step_seconds, expected, "set by {step} at {running}");
    let now = match expected {
        // As if nothing had happened.
        Some(_) => BOOT + running,
        None => (BOOT + running).saturating_add_signed(step),
    };
    let off = moment.now.0.abs_diff(now);
    assert!(off <= u64::from(expected.is_some()), "{off} s: set by {step} at {running}");
    assert_eq!(moment.steady, SteadySeconds(BOOT + running));
}

#[test]
fn distrusts_large_step_until_it_is_undone() {
    let mut clock = clock();
    for (later, step, expected) in [
        (1, 0, None),
        (2, 29, None),
        (3, 31, Some(31)),
        (4, HOUR as i64, Some(3600)),
        (5, 0, None),
        (6, -29, None),
        (7, -31, Some(-31)),
        (8, -(BOOT as i64) - 9 * HOUR as i64, Some(-((BOOT + HOUR + 8) as i64))),
        (9, 0, None),
    ] {
        check(&mut clock, HOUR + later, step, expected);
    }
}

#[test]
fn step_limit_is_30_s_either_way() {
    for (step, expected) in [(30, None), (31, Some(31)), (-30, None), (-31, Some(-31))] {
        check(&mut clock(), HOUR, step, expected);
    }
}

/// Waiting gains an attacker nothing.
#[test]
fn time_alone_confirms_no_step() {
    let mut clock = clock();
    for day in 0..400 {
        check(&mut clock, HOUR + day * 24 * HOUR, 3600, Some(3600));
    }
}

#[test]
fn trusts_step_once_confirmed() {
    let mut clock = clock();
    check(&mut clock, HOUR + 1, 3600, Some(3600));
    clock.trust(reading(HOUR + 2, 3600));
    check(&mut clock, HOUR + 3, 3600, None);
    assert_eq!(clock.look(reading(HOUR + 4, 0)).step_seconds, Some(-3600), "and the other one no more");
}

/// The clocks agree while a machine is suspended or NTP slews.
#[test]
fn suspend_and_long_uptime_are_no_step() {
    let mut clock = clock();
    check(&mut clock, 30 * 24 * HOUR, 0, None);
    check(&mut clock, 300 * 24 * HOUR, 0, None);
}

/// Leap seconds and small corrections don't add up to a step.
#[test]
fn follows_small_steps_slowly() {
    let mut honest = clock();
    let mut running = HOUR;
    for step in 1..500 {
        running += HOUR;
        check(&mut honest, running, step, None);
    }
    let mut hurried = clock();
    let trusted = (1..1000).take_while(|minutes| {
        let moment = hurried.look(reading(HOUR + minutes * 60, *minutes as i64));
        moment.step_seconds.is_none()
    });
    assert_eq!(trusted.count(), 30, "a second a minute");
}

/// The gateway starts before NTP has answered.
#[test]
fn trusts_clock_set_soon_after_boot() {
    let max = CLOCK_SET_AFTER_BOOT_SECONDS_MAX;
    for (running, is_trusted) in [(5, true), (max - 1, true), (max, false)] {
        let mut clock = SteadyClock::new(reading(4, -(BOOT as i64)));
        let moment = clock.look(reading(running, 0));
        assert_eq!(moment.step_seconds.is_none(), is_trusted, "{running}");
    }
}
