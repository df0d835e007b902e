//! `[zones]` of `bundle.toml`: local times, for policies with time windows.
//!
//! Cedar has no weekdays and no time zones, so the context has a record `local` with the local time in each zone that
//! the bundle names. The time zone database is part of the program: the meaning of a policy must not depend on the
//! host's files, and components have none.

use crate::diagnostics::BundleError;
use crate::diagnostics::spanned::Spanned;
use crate::limits::ZONES_MAX;
use crate::settings::toml_file::TomlFile;
use cedar_policy::RestrictedExpression;
use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Time zones by the name that the bundle gives them, in name order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Zones(Vec<(String, TimeZone)>);

/// The time on the clocks of one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalTime {
    pub weekday: &'static str,
    pub hour: i8,
    pub minute: i8,
}

impl Zones {
    /// Looks up every zone. Names become attributes, so they consist of `a-z`, `0-9` and `_`.
    pub fn read(file: &mut TomlFile<'_>, entries: &BTreeMap<String, Spanned<String>>) -> Self {
        let database = TimeZoneDatabase::bundled();
        let mut zones = Vec::with_capacity(entries.len());
        for (name, zone) in entries {
            if zones.len() >= ZONES_MAX {
                let (key, max) = ("zones", ZONES_MAX);
                file.refuse(zone.span(), BundleError::TooMany { key, max });
                break;
            }
            if !is_attribute(name) {
                file.refuse(zone.span(), BundleError::ZoneNameInvalid(name.clone()));
            }
            match database.get(zone.get_ref()) {
                Ok(found) => zones.push((name.clone(), found)),
                Err(_) => {
                    file.refuse(zone.span(), BundleError::ZoneUnknown(zone.get_ref().clone()));
                }
            }
        }
        Self(zones)
    }

    /// The name of each zone in the bundle and in the database.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        let zones = self.0.iter();
        zones.map(|(name, zone)| (name.as_str(), zone.iana_name().unwrap_or_default()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The local time in each zone at `now` (Unix seconds); none after the year 9999.
    fn at(&self, now: u64) -> Option<Vec<(&str, LocalTime)>> {
        let moment = Timestamp::from_second(i64::try_from(now).ok()?).ok()?;
        let times = self.0.iter().map(|(name, zone)| {
            let there = zone.to_datetime(moment);
            let time = LocalTime { weekday: weekday(there.weekday()), hour: there.hour(), minute: there.minute() };
            (name.as_str(), time)
        });
        Some(times.collect())
    }

    /// The context's `local`; none if the bundle names no zone.
    pub fn expression(&self, now: u64) -> Option<RestrictedExpression> {
        let times = self.at(now).filter(|times| !times.is_empty())?;
        let records = times.into_iter().map(|(name, time)| {
            let fields = [
                ("weekday", RestrictedExpression::new_string(time.weekday.to_owned())),
                ("hour", RestrictedExpression::new_long(time.hour.into())),
                ("minute", RestrictedExpression::new_long(time.minute.into())),
            ];
            let fields = fields.map(|(name, value)| (name.to_owned(), value));
            let record = RestrictedExpression::new_record(fields).ok()?;
            Some((name.to_owned(), record))
        });
        RestrictedExpression::new_record(records.collect::<Option<Vec<_>>>()?).ok()
    }

    /// The same in Cedar's JSON format.
    pub fn json(&self, now: u64) -> Option<Value> {
        let times = self.at(now).filter(|times| !times.is_empty())?;
        let records = times.into_iter().map(|(name, time)| {
            let LocalTime { weekday, hour, minute } = time;
            (name.to_owned(), json!({ "weekday": weekday, "hour": hour, "minute": minute }))
        });
        Some(Value::Object(records.collect()))
    }

    /// The type of `local` in Cedar's JSON schema format.
    pub fn schema_type(&self) -> Value {
        let of_zone = json!({ "type": "Record", "attributes": {
            "weekday": { "type": "String" },
            "hour": { "type": "Long" },
            "minute": { "type": "Long" },
        }});
        let zones = self.0.iter().map(|(name, _)| (name.clone(), of_zone.clone()));
        json!({ "type": "Record", "attributes": zones.collect::<serde_json::Map<_, _>>() })
    }
}

/// Whether policies can write `context.local.NAME`.
fn is_attribute(name: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    name.bytes().all(plain) && name.starts_with(|first: char| first.is_ascii_lowercase())
}

fn weekday(weekday: Weekday) -> &'static str {
    match weekday {
        Weekday::Monday => "monday",
        Weekday::Tuesday => "tuesday",
        Weekday::Wednesday => "wednesday",
        Weekday::Thursday => "thursday",
        Weekday::Friday => "friday",
        Weekday::Saturday => "saturday",
        Weekday::Sunday => "sunday",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::parse_unix_seconds;

    fn at(zone: &str, moment: &str) -> (&'static str, i8, i8) {
        let found = TimeZoneDatabase::bundled().get(zone).expect("a zone");
        let zones = Zones(vec![("here".to_owned(), found)]);
        let now = parse_unix_seconds(moment).expect("a moment");
        let times = zones.at(now).expect("a time");
        let (_, time) = times.first().expect("one zone");
        (time.weekday, time.hour, time.minute)
    }

    /// Both sides of each change, in both directions and hemispheres.
    #[test]
    fn follows_daylight_saving_time() {
        for (zone, moment, expected) in [
            // 2027-03-28: 02:00 becomes 03:00.
            ("Europe/Berlin", "2027-03-28T00:59:59Z", ("sunday", 1, 59)),
            ("Europe/Berlin", "2027-03-28T01:00:00Z", ("sunday", 3, 0)),
            // 2027-10-31: 03:00 becomes 02:00, which comes twice.
            ("Europe/Berlin", "2027-10-31T00:00:00Z", ("sunday", 2, 0)),
            ("Europe/Berlin", "2027-10-31T00:59:59Z", ("sunday", 2, 59)),
            ("Europe/Berlin", "2027-10-31T01:00:00Z", ("sunday", 2, 0)),
            ("Europe/Berlin", "2027-10-31T02:00:00Z", ("sunday", 3, 0)),
            // 2027-03-14 and 2027-11-07.
            ("America/New_York", "2027-03-14T06:59:59Z", ("sunday", 1, 59)),
            ("America/New_York", "2027-03-14T07:00:00Z", ("sunday", 3, 0)),
            ("America/New_York", "2027-11-07T05:59:59Z", ("sunday", 1, 59)),
            ("America/New_York", "2027-11-07T06:00:00Z", ("sunday", 1, 0)),
            // By half an hour, in the southern hemisphere: 2027-04-04 and 2027-10-03.
            ("Australia/Lord_Howe", "2027-04-03T14:59:59Z", ("sunday", 1, 59)),
            ("Australia/Lord_Howe", "2027-04-03T15:00:00Z", ("sunday", 1, 30)),
            ("Australia/Lord_Howe", "2027-10-02T15:29:59Z", ("sunday", 1, 59)),
            ("Australia/Lord_Howe", "2027-10-02T15:30:00Z", ("sunday", 2, 30)),
            // Never.
            ("Asia/Kolkata", "2027-01-01T18:29:00Z", ("friday", 23, 59)),
            ("Asia/Kolkata", "2027-01-01T18:30:00Z", ("saturday", 0, 0)),
            ("UTC", "2027-01-01T00:00:00Z", ("friday", 0, 0)),
        ] {
            assert_eq!(at(zone, moment), expected, "{zone} {moment}");
        }
    }

    #[test]
    fn names_weekdays() {
        let days = (4..11).map(|day| at("UTC", &format!("2027-01-{day:02}")).0);
        assert_eq!(
            days.collect::<Vec<_>>(),
            ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
        );
    }

    #[test]
    fn accepts_attribute_names() {
        for (name, taken) in [
            ("berlin", true),
            ("a1_b", true),
            ("", false),
            ("1a", false),
            ("Berlin", false),
            ("a-b", false),
            ("_a", false),
        ] {
            assert_eq!(is_attribute(name), taken, "{name}");
        }
    }
}
