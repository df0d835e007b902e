//! Revocations: adding, lifting and listing them, and the tokens that they match.
//!
//! INVARIANT: a token is revoked if any revocation matches it, and nothing replaces one by another (I11). The other half
//! of that invariant is in the statement that records an issued token (`audit.rs`).

use crate::database::{Database, Row};
use crate::error::{Cause, Error, Limit};
use crate::revocation_rows::{self as rows, FILTER_BYTES_MAX, TOKEN_SECONDS_MAX, TOKENS_MAX};
use crate::store::{NAME_BYTES_MAX, Store, within};
use crate::time::UnixMilliseconds;
use vouchsafe_types::{Added, Affected, Attribution, IssuedTokens, Revocation, RevocationTarget, TokenFilter};

impl<D: Database> Store<D> {
    /// Adds the revocation `id`, which is durable on return. If it exists with the same target, nothing changes.
    ///
    /// A single token is revoked only if it is live, so that nobody can fill the database.
    pub async fn add_revocation(
        &self,
        id: &str,
        target: RevocationTarget,
        by: Attribution,
        now: UnixMilliseconds,
    ) -> Result<Added, Error> {
        within(id.len(), 1, NAME_BYTES_MAX, Limit::Name)?;
        check(&target)?;
        within(by.reason.len(), 0, FILTER_BYTES_MAX, Limit::Filter)?;
        let statement = rows::add(id, &target, by, now.seconds())?;
        self.sweep_sometimes(now).await;
        let added = self.run(statement).await?;
        match only(added)? {
            Some(existing) if rows::is_for(&existing, &target) => Ok(Added::InForce(existing)),
            Some(_) => Ok(Added::Conflict),
            None if matches!(target, RevocationTarget::Token(_)) => Ok(Added::NoSuchToken),
            None => Ok(Added::TooMany),
        }
    }

    /// Lifts the block `id`: it stays in force for tokens issued until `now`. None if there is no such block.
    pub async fn lift_block(
        &self,
        id: &str,
        by: Attribution,
        now: UnixMilliseconds,
    ) -> Result<Option<Revocation>, Error> {
        within(id.len(), 1, NAME_BYTES_MAX, Limit::Name)?;
        within(by.reason.len(), 0, FILTER_BYTES_MAX, Limit::Filter)?;
        let statement = rows::lift(id, by, now.seconds())?;
        only(self.run(statement).await?)
    }

    /// The revocations that may match live tokens, oldest first, without those of single tokens.
    pub async fn revocations(&self, now: UnixMilliseconds) -> Result<Vec<Revocation>, Error> {
        let found = self.run(rows::list(now.seconds())?).await?;
        found.into_iter().map(rows::revocation).collect()
    }

    /// The live tokens that `target` revokes, or would revoke.
    pub async fn count_revoked(&self, target: RevocationTarget, now: UnixMilliseconds) -> Result<Affected, Error> {
        check(&target)?;
        let oldest_live_ms = now.seconds().saturating_sub(TOKEN_SECONDS_MAX).saturating_mul(1000);
        let beyond = self.run(rows::before_counted()).await?;
        let beyond = beyond.into_iter().next().map(|row| crate::database::number(&row, 0)).transpose()?;
        let complete = beyond.is_none_or(|decided_at_ms| decided_at_ms < oldest_live_ms);
        let found = self.run(rows::count(D::DIALECT, &target, now.seconds())?).await?;
        rows::affected(found, complete)
    }

    /// Which of the tokens with these `jti`s were issued and are not revoked. Expiry is not considered.
    pub async fn active(&self, jtis: &[String]) -> Result<Vec<bool>, Error> {
        if !(1..=TOKENS_MAX).contains(&jtis.len()) {
            return Err(Error::Invalid(Limit::Tokens));
        }
        let mut active = Vec::new();
        for mut row in self.run(rows::active(D::DIALECT, jtis)).await? {
            active.push(crate::database::text(&mut row, 0)?);
        }
        Ok(jtis.iter().map(|jti| active.contains(jti)).collect())
    }
}

fn check(target: &RevocationTarget) -> Result<(), Error> {
    let filter = match target {
        RevocationTarget::Token(jti) => return within(jti.len(), 1, crate::DECISION_ID_BYTES_MAX, Limit::DecisionId),
        RevocationTarget::Blocked(filter) | RevocationTarget::Issued(IssuedTokens { filter, .. }) => filter,
    };
    let TokenFilter { issuer_name, subject, audience, bundle_digest, kid } = filter;
    for text in [issuer_name, subject, audience, bundle_digest, kid].into_iter().flatten() {
        within(text.len(), 1, FILTER_BYTES_MAX, Limit::Filter)?;
    }
    Ok(())
}

fn only(found: Vec<Row>) -> Result<Option<Revocation>, Error> {
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (first, None) => first.map(rows::revocation).transpose(),
        (_, Some(_)) => Err(Error::Unavailable(Cause::UnexpectedRow)),
    }
}
