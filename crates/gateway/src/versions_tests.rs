use super::*;
use crate::timing::KEYS_FRESH_SECONDS;
use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_signer::MAX_AGE_SECONDS;

const START: u64 = 1_800_000_000;
const LIFETIME: u64 = 900;

fn first() -> KeyVersions {
    KeyVersions::new([(1, VersionRecord::first(START, LIFETIME))], [])
}

/// Carries out the first `writes` writes of an operation.
fn done_in_part(versions: &KeyVersions, operation: KeyOperation, now: u64, writes: usize) -> KeyVersions {
    let plan = versions.plan(operation, now, LIFETIME).unwrap();
    let mut records = raw(versions);
    if let Some(version) = plan.create {
        records.insert(version, VersionRecord::pending(now));
    }
    records.extend(plan.writes.into_iter().take(writes));
    let mut destroyed: BTreeSet<u64> = versions.destroyed().collect();
    if let Some(version) = plan.destroy {
        records.remove(&version);
        destroyed.insert(version);
    }
    KeyVersions::new(records, destroyed)
}

fn raw(versions: &KeyVersions) -> BTreeMap<u64, VersionRecord> {
    versions.iter().map(|(version, it)| (version, *it)).collect()
}

fn done(versions: &KeyVersions, operation: KeyOperation, now: u64) -> KeyVersions {
    done_in_part(versions, operation, now, usize::MAX)
}

#[track_caller]
fn check_states(versions: &KeyVersions, expected: &[(u64, &str)]) {
    let states: Vec<_> = versions.iter().map(|(version, it)| (version, it.state.name())).collect();
    assert_eq!(states, expected);
}

#[track_caller]
fn check_refused(versions: &KeyVersions, operation: KeyOperation, now: u64, expected: OperationError) {
    assert_eq!(versions.plan(operation, now, LIFETIME), Err(expected));
}

#[track_caller]
fn check_done_already(versions: &KeyVersions, operation: KeyOperation, now: u64) {
    let plan = versions.plan(operation, now, LIFETIME).unwrap();
    assert!(plan.is_done_already(), "{plan:?}");
}

const ROLLBACK: KeyOperation = KeyOperation::Rollback { from: None };
const RETIRE: KeyOperation = KeyOperation::Retire { version: None, destroy: false };

fn destroy(version: u64) -> KeyOperation {
    KeyOperation::Retire { version: Some(version), destroy: true }
}

#[test]
fn rotation_passes_every_state_idempotently() {
    let known = START + 10 + PUBLISHED_SECONDS_MIN;
    let versions = first();
    check_done_already(&versions, ROLLBACK, START);
    check_done_already(&versions, KeyOperation::Promote, START);

    let versions = done(&versions, KeyOperation::Stage, START + 10);
    check_states(&versions, &[(1, "active"), (2, "pending")]);
    check_done_already(&versions, KeyOperation::Stage, START + 11);
    let too_early = |seconds_left| OperationError::TooEarly { version: 2, seconds_left };
    let canary = KeyOperation::Canary { share: 5 };
    check_refused(&versions, canary, known - 1, too_early(1));

    let pending = OperationError::WrongState { version: 2, state: "pending" };
    check_refused(&versions, KeyOperation::Promote, known, pending);

    let versions = done(&versions, canary, known);
    check_states(&versions, &[(1, "active"), (2, "canary")]);
    check_done_already(&versions, canary, known + 1);
    check_refused(&versions, KeyOperation::Stage, known, OperationError::CanaryExists { version: 2 });
    assert_eq!(versions.signer(|share| share == 5), Some(2));
    assert_eq!(versions.signer(|_| false), Some(1));
    let since = versions.get(2).unwrap().since;
    let versions = done(&versions, KeyOperation::Canary { share: 20 }, known + 50);
    assert_eq!(versions.canary(), Some((2, 20)));
    assert_eq!(versions.get(2).unwrap().since, since, "since the first share");

    let promoted = known + 100;
    let versions = done(&versions, KeyOperation::Promote, promoted);
    check_states(&versions, &[(1, "retiring"), (2, "active")]);
    check_done_already(&versions, KeyOperation::Promote, promoted + 1);
    let over = promoted + LIFETIME + WITHDRAWN_SECONDS_MIN;
    let live = OperationError::TokensLive { version: 1, seconds_left: 1 };
    check_refused(&versions, RETIRE, over - 1, live);
    check_refused(&versions, destroy(1), over - 1, live);

    let versions = done(&versions, RETIRE, over);
    check_states(&versions, &[(1, "retired"), (2, "active")]);
    check_done_already(&versions, RETIRE, over);
    assert_eq!(versions.published().collect::<Vec<_>>(), [2]);
    check_done_already(&versions, ROLLBACK, over);

    let versions = done(&versions, destroy(1), over);
    check_states(&versions, &[(2, "active")]);
    check_done_already(&versions, destroy(1), over);
    assert_eq!(versions.destroyed().collect::<Vec<_>>(), [1]);
}

fn with_canary() -> (KeyVersions, u64) {
    let now = START + PUBLISHED_SECONDS_MIN;
    let versions = done(&first(), KeyOperation::Stage, START);
    (done(&versions, KeyOperation::Canary { share: 5 }, now), now)
}

#[test]
fn rolled_back_canary_can_be_retried_at_once() {
    let (versions, now) = with_canary();
    let versions = done(&versions, ROLLBACK, now + 1);
    check_states(&versions, &[(1, "active"), (2, "pending")]);
    check_done_already(&versions, ROLLBACK, now + 2);
    let versions = done(&versions, KeyOperation::Canary { share: 100 }, now + 2);
    check_states(&versions, &[(1, "active"), (2, "canary")]);
}

#[test]
fn undoes_promotion_while_predecessor_is_published() {
    let (versions, now) = with_canary();
    let promoted = done(&versions, KeyOperation::Promote, now);
    let back = KeyOperation::Rollback { from: Some(2) };
    let versions = done(&promoted, back, now + 1);
    check_states(&versions, &[(1, "active"), (2, "pending")]);
    // By another gateway, or by an operator who got no answer.
    check_done_already(&versions, back, now + 2);
    check_done_already(&versions, ROLLBACK, now + 2);
    let over = promoted.get(1).unwrap().may_leave_at();
    let retired = done(&promoted, RETIRE, over);
    check_refused(&retired, back, over, OperationError::Nothing { operation: "rollback" });
}

/// A repeated `rollback` must not go back twice.
#[test]
fn repeated_rollback_goes_back_once() {
    let (versions, now) = with_canary();
    let versions = done(&versions, KeyOperation::Promote, now);
    let versions = done(&versions, KeyOperation::Stage, now);
    let now = now + PUBLISHED_SECONDS_MIN;
    let versions = done(&versions, KeyOperation::Canary { share: 1 }, now);
    let back = KeyOperation::Rollback { from: Some(3) };
    let versions = done(&versions, back, now);
    check_states(&versions, &[(1, "retiring"), (2, "active"), (3, "pending")]);
    check_done_already(&versions, back, now);
}

/// A crash between the two writes leaves a state in which one version signs.
#[test]
fn crash_between_writes_leaves_one_signer() {
    let (versions, now) = with_canary();
    let torn = done_in_part(&versions, KeyOperation::Promote, now, 1);
    let mut on_token = raw(&versions);
    on_token.extend(versions.plan(KeyOperation::Promote, now, LIFETIME).unwrap().writes[..1].to_vec());
    assert_eq!(on_token[&1].state, VersionState::Active);
    assert_eq!(on_token[&2].state, VersionState::Active);
    check_states(&torn, &[(1, "retiring"), (2, "active")]);
    let plan = torn.plan(KeyOperation::Promote, now, LIFETIME).unwrap();
    assert_eq!(plan.writes, [(1, *torn.get(1).unwrap())], "it is ended");

    let promoted = done(&versions, KeyOperation::Promote, now);
    let torn = done_in_part(&promoted, KeyOperation::Rollback { from: Some(2) }, now + 1, 1);
    check_states(&torn, &[(1, "active"), (2, "retiring")]);
    assert_eq!(torn.signer(|_| true), Some(1));
}

/// A clock that goes back does not make an older version sign.
#[test]
fn orders_changes_despite_backward_clock() {
    let (versions, now) = with_canary();
    let promoted = done(&versions, KeyOperation::Promote, now);
    let torn = done_in_part(&promoted, KeyOperation::Rollback { from: Some(2) }, now - 400, 1);
    assert_eq!(torn.active(), Some(1));
}

#[test]
fn retires_pending_version_without_reusing_its_number() {
    let versions = done(&first(), KeyOperation::Stage, START);
    check_refused(&versions, destroy(2), START, OperationError::NotRetired { version: 2 });
    let out = KeyOperation::Retire { version: Some(2), destroy: false };
    let versions = done(&versions, out, START + 1);
    check_states(&versions, &[(1, "active"), (2, "retiring")]);
    let over = START + 1 + WITHDRAWN_SECONDS_MIN;
    let versions = done(&versions, destroy(2), over);
    check_states(&versions, &[(1, "active")]);
    let versions = done(&versions, KeyOperation::Stage, over);
    check_states(&versions, &[(1, "active"), (3, "pending")]);
}

/// Two gateways that create a version at the same time can leave this.
#[test]
fn duplicate_version_is_neither_used_nor_renumbered() {
    let versions = KeyVersions::new(raw(&first()), []).with_doubled([(2, START)]);
    assert_eq!(versions.to_string(), "1 active, 2 doubled");
    assert_eq!(versions.signer(|_| true), Some(1));
    assert_eq!(versions.published().collect::<Vec<_>>(), [1]);
    let doubled = OperationError::Doubled { version: 2 };
    let back = KeyOperation::Rollback { from: Some(2) };
    let out = KeyOperation::Retire { version: Some(2), destroy: false };
    for operation in [back, out] {
        check_refused(&versions, operation, START, doubled);
    }
    let plan = versions.plan(KeyOperation::Stage, START, LIFETIME).unwrap();
    assert_eq!(plan.create, Some(3), "the number behind it");
    let staged = versions.after(&plan, START);
    assert_eq!(staged.to_string(), "1 active, 2 doubled, 3 pending");
    let plan = staged.plan(destroy(2), START, LIFETIME).unwrap();
    assert_eq!((plan.destroy, plan.writes.len()), (Some(2), 0));
    let cleaned = staged.after(&plan, START);
    assert_eq!(cleaned.to_string(), "1 active, 2 destroyed, 3 pending");
    check_done_already(&cleaned, destroy(2), START);
}

/// After a restore, or a write by someone with the PKCS#11 token, no version signs until the next one may.
#[test]
fn next_version_replaces_a_duplicate_signer() {
    let ahead = START + 10_000;
    let versions = KeyVersions::new([], []).with_doubled([(1, START), (1, ahead)]);
    assert!(!versions.is_empty());
    assert_eq!((versions.active(), versions.signer(|_| true)), (None, None));
    let plan = versions.plan(KeyOperation::Stage, START, LIFETIME).unwrap();
    let versions = versions.after(&plan, START);
    let now = START + PUBLISHED_SECONDS_MIN;
    let plan = versions.plan(KeyOperation::Promote, now, LIFETIME).unwrap();
    let versions = versions.after(&plan, now);
    assert_eq!(versions.to_string(), "1 doubled, 2 active");
    // Both duplicates are gone.
    let since = versions.get(2).unwrap().since;
    assert!(since > ahead, "{since}");
}

#[test]
fn refuses_to_retire_signing_or_unknown_versions() {
    let (versions, now) = with_canary();
    for version in [1, 2] {
        check_refused(&versions, destroy(version), now, OperationError::Signs { version });
    }
    check_refused(&versions, destroy(3), now, OperationError::Unknown { version: 3 });
    let nothing = OperationError::Nothing { operation: "retire" };
    check_refused(&versions, RETIRE, now, nothing);
}

#[test]
fn displays_each_version_with_its_state() {
    let (versions, now) = with_canary();
    assert_eq!(versions.to_string(), "1 active, 2 canary 5%");
    let plan = versions.plan(KeyOperation::Promote, now, LIFETIME).unwrap();
    let after = versions.after(&plan, now);
    assert_eq!(after, done(&versions, KeyOperation::Promote, now));
    let over = after.get(1).unwrap().may_leave_at();
    let after = done(&after, destroy(1), over);
    assert_eq!(after.to_string(), "1 destroyed, 2 active");
}

#[test]
fn share_is_1_to_100_percent() {
    let versions = done(&first(), KeyOperation::Stage, START);
    let now = START + PUBLISHED_SECONDS_MIN;
    for share in [0, 101, 255] {
        check_refused(&versions, KeyOperation::Canary { share }, now, OperationError::Share);
    }
    for share in [1, 100] {
        done(&versions, KeyOperation::Canary { share }, now);
    }
}

#[test]
fn five_versions_are_published_at_most() {
    let mut versions = first();
    let mut now = START;
    for _ in 1..PUBLISHED_MAX {
        versions = done(&versions, KeyOperation::Stage, now);
        now += PUBLISHED_SECONDS_MIN;
        versions = done(&versions, KeyOperation::Canary { share: 1 }, now);
        versions = done(&versions, KeyOperation::Promote, now);
    }
    // Their tokens have expired, so they could be retired.
    check_refused(&versions, KeyOperation::Stage, now, OperationError::TooMany);
    let versions = done(&versions, RETIRE, now + LIFETIME + WITHDRAWN_SECONDS_MIN);
    done(&versions, KeyOperation::Stage, now);
}

#[test]
fn records_longer_lifetime_before_signing() {
    let versions = first();
    assert_eq!(versions.longer_lives(LIFETIME), []);
    let longer = versions.longer_lives(86_400);
    assert_eq!(longer[0].1.lifetime_seconds, 86_400);
    let versions = KeyVersions::new(longer, []);
    assert_eq!(versions.longer_lives(60), [], "a shorter one changes nothing");
}

#[test]
fn reads_only_canonical_records() {
    for state in VersionState::ALL {
        let record = VersionRecord {
            state,
            share: if state == VersionState::Canary { 100 } else { 0 },
            lifetime_seconds: 86_400,
            since: START,
            published: u64::MAX,
        };
        let bytes = record.to_bytes();
        assert_eq!(VersionRecord::parse(&bytes), Some(record));
        assert_eq!(VersionState::from_name(state.name()), Some(state));
        assert_eq!(VersionRecord::parse(&bytes[1..]), None);
        assert_eq!(VersionRecord::parse(&[&bytes[..], &[0]].concat()), None);
        let share = if state == VersionState::Canary { [0, 101] } else { [1, 255] };
        for share in share {
            let mut wrong = bytes;
            wrong[4] = share;
            assert_eq!(VersionRecord::parse(&wrong), None, "{state:?} {share}");
        }
    }
    for wrong in [&b""[..], &1_u64.to_be_bytes(), b"vs1x000000000000000000000"] {
        assert_eq!(VersionRecord::parse(wrong), None);
    }
}

/// What the walk knows of one version, in true time.
#[derive(Default)]
struct Seen {
    published: u64,
    signed_last: Option<u64>,
    retired: bool,
}

struct Walk {
    state: u64,
    now: u64,
    /// The written state.
    token: BTreeMap<u64, VersionRecord>,
    destroyed: BTreeSet<u64>,
    /// The displayed state.
    versions: KeyVersions,
    seen: BTreeMap<u64, Seen>,
}

impl Walk {
    fn random(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % below
    }

    fn operation(&mut self) -> KeyOperation {
        let version = Some(self.random(8));
        match self.random(9) {
            0 | 1 => KeyOperation::Stage,
            2 | 3 => KeyOperation::Canary { share: u8::try_from(self.random(103)).unwrap() },
            4 | 5 => KeyOperation::Promote,
            6 => KeyOperation::Rollback { from: version.filter(|it| it % 2 == 0) },
            7 => KeyOperation::Retire { version: None, destroy: false },
            _ => KeyOperation::Retire { version, destroy: version.is_some_and(|it| it % 2 == 1) },
        }
    }

    fn step(&mut self) {
        let pause = [0, 1, 60, PUBLISHED_SECONDS_MIN, 2 * LIFETIME];
        let pause = pause[usize::try_from(self.random(5)).unwrap()];
        self.now += pause;
        // Gateways' clocks are within 30 s of the truth.
        let clock = self.now - 30 + self.random(61);
        let operation = self.operation();
        let Ok(plan) = self.versions.plan(operation, clock, LIFETIME) else {
            return;
        };
        let writes = usize::try_from(self.random(4)).unwrap();
        if let Some(version) = plan.create {
            assert!(!self.seen.contains_key(&version), "number {version} twice");
        }
        if let Some(version) = plan.create {
            self.token.insert(version, VersionRecord::pending(clock));
        }
        let cut = plan.writes.len() > writes;
        self.token.extend(plan.writes.into_iter().take(writes));
        if let (Some(version), false) = (plan.destroy, cut) {
            self.token.remove(&version);
            self.destroyed.insert(version);
        }
        self.versions = KeyVersions::new(self.token.clone(), self.destroyed.clone());
    }

    fn check(&mut self) {
        let of = |state| {
            let versions = self.versions.iter();
            versions.filter(|(_, it)| it.state == state).count()
        };
        assert_eq!(of(VersionState::Active), 1, "one signs");
        assert!(of(VersionState::Canary) <= 1);
        assert!(self.versions.published().count() <= PUBLISHED_MAX);
        let now = self.now;
        for (version, record) in self.versions.iter() {
            let seen = self.seen.entry(version).or_insert_with(|| Seen { published: now, ..Seen::default() });
            assert!(!(seen.retired && record.state != VersionState::Retired), "{version} is back");
            match record.state {
                VersionState::Active | VersionState::Canary => {
                    let known = now - seen.published >= MAX_AGE_SECONDS + KEYS_FRESH_SECONDS;
                    assert!(known || version == 1, "{version} signs too early");
                    seen.signed_last = Some(now);
                }
                VersionState::Retired => {
                    seen.retired = true;
                    let over = |last| now - last >= LIFETIME + STATES_FRESH_SECONDS;
                    assert!(seen.signed_last.is_none_or(over), "{version} left too early");
                }
                VersionState::Pending | VersionState::Retiring => {}
            }
        }
        for version in self.versions.destroyed() {
            let over = |last| now - last >= LIFETIME + STATES_FRESH_SECONDS;
            let last = self.seen[&version].signed_last;
            assert!(last.is_none_or(over), "{version} was destroyed too early");
        }
    }
}

/// Random operations at random times with clock skew, each of which may stop after any of its writes.
#[test]
fn random_operations_sign_only_with_known_keys() {
    let mut retired = 0;
    for seed in 0..300 {
        let mut walk = Walk {
            state: seed,
            now: START,
            token: raw(&first()),
            destroyed: BTreeSet::new(),
            versions: first(),
            seen: BTreeMap::new(),
        };
        for _ in 0..300 {
            walk.check();
            walk.step();
        }
        retired += walk.seen.values().filter(|it| it.retired).count();
    }
    assert!(retired > 300, "too few versions were retired: {retired}");
}
