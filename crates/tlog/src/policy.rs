//! Policies (C2SP tlog-policy): which logs are trusted, and which witnesses must have cosigned.

use std::collections::BTreeMap;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::note::{KeyKind, Note, NoteError, VerifierKey, Verify};

/// Longest policy.
pub const POLICY_BYTES_MAX: usize = 64 * 1024;
/// Most lines of a policy.
pub const LINES_MAX: usize = 1024;

/// A log that a policy trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub key: VerifierKey,
    pub url: Option<String>,
}

/// A witness that a policy knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    pub name: String,
    pub key: VerifierKey,
    pub url: Option<String>,
}

/// Groups count witnesses, and groups before them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: String,
    needed: usize,
    members: Vec<String>,
}

/// Which checkpoints are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub logs: Vec<Log>,
    pub witnesses: Vec<Witness>,
    /// In the order of the file: members come before their group.
    groups: Vec<Group>,
    /// None if no cosignature is needed.
    quorum: Option<String>,
}

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("a policy has at most {POLICY_BYTES_MAX} bytes and {LINES_MAX} lines")]
    TooLong,
    #[error("line {0}: {1}")]
    Line(usize, String),
    #[error("there must be one line `quorum`")]
    Quorum,
}

/// Why a policy does not accept a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("no log of the policy signed the checkpoint of `{0}`")]
    Log(String),
    #[error("the checkpoint lacks cosignatures: quorum `{0}` is not met")]
    Quorum(String),
}

/// A checkpoint that a policy accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub checkpoint: Checkpoint,
    /// The witnesses that cosigned, with the time in Unix seconds.
    pub witnesses: Vec<(String, u64)>,
}

impl Policy {
    /// # Errors
    /// [`PolicyError`].
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > POLICY_BYTES_MAX || text.lines().count() > LINES_MAX {
            return Err(PolicyError::TooLong);
        }
        let mut draft = Draft::default();
        for (number, line) in (1_usize..).zip(text.split('\n')) {
            let words: Vec<_> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            draft.line(&words).map_err(|why| PolicyError::Line(number, why))?;
        }
        draft.quorum.map(|quorum| Self { quorum, ..draft.policy }).ok_or(PolicyError::Quorum)
    }

    /// Accepts the checkpoint of `note` if a log signed it and the quorum is met.
    ///
    /// # Errors
    /// [`Rejected`].
    pub fn accept(&self, note: &Note, verify: Verify<'_>) -> Result<Accepted, Rejected> {
        let checkpoint = Checkpoint::parse(note.text())?;
        let mut signed = false;
        for log in self.logs.iter().filter(|log| log.key.name() == checkpoint.origin) {
            signed |= note.signed_by(&log.key, verify)?.is_some();
        }
        if !signed {
            return Err(Rejected::Log(checkpoint.origin));
        }
        let mut witnesses = Vec::new();
        for witness in &self.witnesses {
            if let Some(time) = note.signed_by(&witness.key, verify)? {
                witnesses.push((witness.name.clone(), time));
            }
        }
        match &self.quorum {
            Some(quorum) if !self.is_met(quorum, &witnesses) => Err(Rejected::Quorum(quorum.clone())),
            Some(_) | None => Ok(Accepted { checkpoint, witnesses }),
        }
    }

    fn is_met(&self, quorum: &str, witnesses: &[(String, u64)]) -> bool {
        let mut met: BTreeMap<&str, bool> = witnesses.iter().map(|(name, _)| (name.as_str(), true)).collect();
        for Group { name, needed, members } in &self.groups {
            let count = members.iter().filter(|member| met.get(member.as_str()).copied().unwrap_or(false)).count();
            met.insert(name, count >= *needed);
        }
        met.get(quorum).copied().unwrap_or(false)
    }
}

#[derive(Default)]
struct Draft {
    policy: Policy,
    quorum: Option<Option<String>>,
}

impl Default for Policy {
    /// Trusts no log.
    fn default() -> Self {
        Self { logs: vec![], witnesses: vec![], groups: vec![], quorum: None }
    }
}

impl Draft {
    fn line(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", key] => self.log(key, None),
            ["log", key, url] => self.log(key, Some(*url)),
            ["witness", name, key] => self.witness(name, key, None),
            ["witness", name, key, url] => self.witness(name, key, Some(*url)),
            ["group", name, needed, members @ ..] => self.group(name, needed, members),
            ["quorum", name] => self.set_quorum(name),
            [first, ..] => Err(format!("`{first}` does not begin a line of a policy, or has another number of words")),
        }
    }

    fn log(&mut self, key: &str, url: Option<&str>) -> Result<(), String> {
        let key = self.key(key, KeyKind::Ed25519)?;
        if self.policy.logs.iter().any(|log| log.key.key() == key.key()) {
            return Err(format!("the key of `{}` is that of another log", key.name()));
        }
        self.policy.logs.push(Log { key, url: url.map(str::to_owned) });
        Ok(())
    }

    fn witness(&mut self, name: &str, key: &str, url: Option<&str>) -> Result<(), String> {
        let key = self.key(key, KeyKind::Cosignature)?;
        self.check_new(name)?;
        if self.policy.witnesses.iter().any(|witness| witness.key.key() == key.key()) {
            return Err(format!("the key of `{name}` is that of another witness"));
        }
        self.policy.witnesses.push(Witness { name: name.to_owned(), key, url: url.map(str::to_owned) });
        Ok(())
    }

    fn group(&mut self, name: &str, needed: &str, members: &[&str]) -> Result<(), String> {
        self.check_new(name)?;
        for (place, member) in members.iter().enumerate() {
            if !self.is_known(member) {
                return Err(format!("`{member}` is not defined above"));
            }
            if members.get(..place).is_some_and(|before| before.contains(member)) {
                return Err(format!("`{member}` is a member twice"));
            }
        }
        let needed = match needed {
            "any" => Some(1),
            "all" => Some(members.len()),
            number => number.parse().ok(),
        };
        let needed = needed.filter(|needed| (1..=members.len()).contains(needed));
        let needed = needed.ok_or("a group needs `any`, `all`, or a number from 1 to that of its members")?;
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        self.policy.groups.push(Group { name: name.to_owned(), needed, members });
        Ok(())
    }

    fn set_quorum(&mut self, name: &str) -> Result<(), String> {
        if self.quorum.is_some() {
            return Err("there is another line `quorum`".to_owned());
        }
        if name != "none" && !self.is_known(name) {
            return Err(format!("`{name}` is not defined above"));
        }
        self.quorum = Some((name != "none").then(|| name.to_owned()));
        Ok(())
    }

    fn key(&self, text: &str, kind: KeyKind) -> Result<VerifierKey, String> {
        let key = VerifierKey::parse(text).map_err(|error| format!("`{text}` is {error}"))?;
        if key.kind() == kind {
            return Ok(key);
        }
        Err(match kind {
            KeyKind::Ed25519 => format!("the key of `{}` is for cosignatures, not for a log", key.name()),
            KeyKind::Cosignature => format!("the key of `{}` is for a log, not for cosignatures", key.name()),
        })
    }

    fn check_new(&self, name: &str) -> Result<(), String> {
        if name == "none" || self.is_known(name) { Err(format!("`{name}` is defined already")) } else { Ok(()) }
    }

    fn is_known(&self, name: &str) -> bool {
        let witness = self.policy.witnesses.iter().any(|witness| witness.name == name);
        witness || self.policy.groups.iter().any(|group| group.name == name)
    }
}
