//! Listings of keys: `GET /v1/keys` and `GET /v1/admin/keys`.

use super::Gateway;
use super::published_key::PublishedKey;
use super::states::States;
use std::collections::BTreeMap;
use vouchsafe_gateway::admin::{CredentialListing, EpochListing, GroupListing, KeyListing, Listing, VersionListing};
use vouchsafe_gateway::versions::{KeyVersions, VersionRecord, VersionState};
use vouchsafe_gateway::wire::{GroupKeys, Keys, PublicTokenKey};
use vouchsafe_gateway::{Caller, Group, KeyRule, Refusal, warnings};

impl Gateway {
    /// `GET /v1/keys`.
    pub fn keys(&self, caller: Caller<'_>) -> Result<Keys, Refusal> {
        let moment = self.clock.read();
        let now = moment.now;
        // ORDER: before the work that the rate limits.
        self.rates().take_keys(caller, moment.steady)?;
        let states = self.states();
        let keyring = self.keyring();
        let groups = caller.groups().map(|group| GroupKeys {
            name: group.name.clone(),
            issuer: group.issuer.clone(),
            epoch_seconds: group.epoch_seconds,
            epoch_keys: keyring.published(group),
            token_keys: self
                .rules
                .keys()
                .filter(|rule| rule.group == group.name)
                .flat_map(|rule| {
                    let active = states.versions(rule).and_then(KeyVersions::active);
                    let keys = states.published(rule);
                    keys.map(move |key| wire_key(rule, key, active))
                })
                .collect(),
        });
        let seeds_until = keyring.seeds_until(now).unwrap_or(0);
        Ok(Keys {
            now: now.0,
            generation: keyring.generation(),
            seconds_left: seeds_until.saturating_sub(now.0),
            groups: groups.collect(),
        })
    }

    /// `GET /v1/admin/keys`.
    pub fn list(&self) -> Listing {
        let readiness = self.readiness();
        let states = self.states();
        let keys = self.rules.keys().map(|rule| self.key_listing(rule, &states));
        Listing {
            now: self.clock.now().0,
            generation: readiness.generation,
            standby: readiness.generation.saturating_add(1),
            hsm: if readiness.hsm_is_up { "up" } else { "down" }.to_owned(),
            seconds_left: readiness.seconds_left,
            groups: self.rules.groups().map(|it| self.group_listing(it)).collect(),
            keys: keys.collect(),
            credentials: self.credential_listings(),
        }
    }

    fn credential_listings(&self) -> Vec<CredentialListing> {
        let listing = |is_admin| move |name: &str| CredentialListing { name: name.to_owned(), is_admin };
        let brokers = self.rules.credential_names().map(listing(false));
        brokers.chain(self.admins.names().map(listing(true))).collect()
    }

    fn group_listing(&self, group: &Group) -> GroupListing {
        let published = self.keyring().published(group);
        let epochs = published.into_iter().map(|key| EpochListing {
            generation: key.generation,
            algorithm: key.algorithm,
            start: key.epoch_start,
            kid: key.kid,
            leaves_at: key.epoch_start.saturating_add(group.epoch_seconds.saturating_mul(2)),
        });
        GroupListing {
            name: group.name.clone(),
            issuer: group.issuer.clone(),
            epoch_seconds: group.epoch_seconds,
            epochs: epochs.collect(),
        }
    }

    fn key_listing(&self, rule: &KeyRule, states: &States) -> KeyListing {
        let now = self.clock.now().0;
        let none = KeyVersions::default();
        let versions = states.versions(rule).unwrap_or(&none);
        let verdict = self.verdict(rule, versions);
        let destroyed = versions.destroyed().map(|version| {
            let listing = VersionListing { state: "destroyed".to_owned(), ..self.version_listing(rule, version, None) };
            (version, listing)
        });
        let duplicates = versions.doubled().map(|version| {
            let listing = VersionListing { state: "doubled".to_owned(), ..self.version_listing(rule, version, None) };
            (version, listing)
        });
        let present = versions.iter().map(|(version, record)| {
            let kid = states.published_version(rule, version).map(|key| key.jwk.kid());
            let listing = self.version_listing(rule, version, Some(record));
            let kid = kid.map(str::to_owned);
            (version, VersionListing { kid, ..listing })
        });
        let all: BTreeMap<_, _> = destroyed.chain(duplicates).chain(present).collect();
        KeyListing {
            name: rule.name.clone(),
            group: rule.group.clone(),
            algorithm: rule.algorithm.name().to_owned(),
            versions: all.into_values().collect(),
            verdict: verdict.map(|it| it.name().to_owned()),
            warnings: warnings(rule, versions, now).iter().map(ToString::to_string).collect(),
        }
    }

    fn version_listing(&self, rule: &KeyRule, version: u64, record: Option<&VersionRecord>) -> VersionListing {
        let stats = self.version_stats();
        let uses = stats.uses(&rule.label_of(version).to_string());
        let when = |state, moment: fn(&VersionRecord) -> u64| record.filter(|it| it.state == state).map(moment);
        VersionListing {
            version,
            state: record.map_or("", |it| it.state.name()).to_owned(),
            share: when(VersionState::Canary, |it| it.share.into()).and_then(|share| u8::try_from(share).ok()),
            kid: None,
            since: record.map(|it| it.since),
            published: record.map(|it| it.published),
            may_sign_at: when(VersionState::Pending, VersionRecord::may_sign_at),
            leaves_at: when(VersionState::Retiring, VersionRecord::may_leave_at),
            first_use: uses.map(|(first, _)| first),
            last_use: uses.map(|(_, last)| last),
            figures: stats.figures(&rule.name, version).into(),
        }
    }
}

fn wire_key(rule: &KeyRule, key: &PublishedKey, active: Option<u64>) -> PublicTokenKey {
    PublicTokenKey {
        name: rule.name.clone(),
        version: key.version,
        signs: active == Some(key.version),
        algorithm: rule.algorithm.name().to_owned(),
        audiences: rule.audiences.iter().cloned().collect(),
        kid: key.jwk.kid().to_owned(),
        jwk: key.jwk.to_json(),
    }
}
