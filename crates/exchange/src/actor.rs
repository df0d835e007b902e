//! Delegation (RFC 8693 §4): who acts for the subject, and whether the tokens allow it.
//!
//! INVARIANT: the verified claims decide, and no parameter. A subject token with `act` or `may_act` is never exchanged
//! without a token of its actor, so nobody gets rid of an actor by omitting a parameter.

use crate::failure::Failure;
use crate::limits::{ACTORS_BYTES_MAX, ACTORS_MAX};
use crate::ports::Policy;
use crate::refusal::{ActorFault, Refusal};
use std::rc::Rc;
use vouchsafe_types::{Actor, BundleInfo, IssuerRecord, RecordedActor, Subject};

/// The current actor, by its own token. Only [`crate::verified::verify`] makes one.
pub(crate) struct VerifiedActor {
    pub(crate) subject: Subject,
    pub(crate) issuer: Rc<IssuerRecord>,
    /// `act` of the issued token: this actor, then those before.
    pub(crate) chain: Vec<Actor>,
}

/// `act` of the token to issue: the actor of the request, then those of the subject token. None without an actor.
///
/// # Errors
/// The subject token needs an actor and there is none, or must not have this one.
pub(crate) fn chain(subject: &Subject, actor: Option<&Subject>) -> Result<Vec<Actor>, ActorFault> {
    let Some(actor) = actor else {
        let is_plain = subject.actors.is_empty() && subject.may_act.is_none();
        return if is_plain { Ok(Vec::new()) } else { Err(ActorFault::Required) };
    };
    if !actor.actors.is_empty() {
        return Err(ActorFault::Delegated);
    }
    // Cedar knows entities by type and id only, so two workloads that share both could not be told apart.
    let id = |subject: &Subject| (subject.principal.entity_type.clone(), subject.principal.id.clone());
    if id(subject) == id(actor) {
        return Err(ActorFault::IsSubject);
    }
    let named = Actor { iss: actor.iss.clone(), sub: actor.principal.id.clone() };
    if subject.may_act.as_ref().is_some_and(|may_act| *may_act != named) {
        return Err(ActorFault::NotNamed);
    }
    // An actor that is the current one already acts on, and is not named twice.
    let first = (subject.actors.first() != Some(&named)).then_some(named);
    let chain: Vec<Actor> = first.into_iter().chain(subject.actors.iter().cloned()).collect();
    let bytes = chain.iter().map(|actor| actor.iss.len().saturating_add(actor.sub.len()));
    match chain.len() > ACTORS_MAX || bytes.sum::<usize>() > ACTORS_BYTES_MAX {
        true => Err(ActorFault::TooMany),
        false => Ok(chain),
    }
}

impl VerifiedActor {
    /// The actors for the audit record, so that revocations of workloads match them.
    pub(crate) fn recorded(&self, ports: &impl Policy, bundle: &BundleInfo) -> Result<Vec<RecordedActor>, Failure> {
        let current = RecordedActor { issuer_name: self.issuer.name.clone(), subject: self.subject.name.clone() };
        let mut actors = vec![current];
        for before in self.chain.iter().skip(1) {
            let issuer = ports.issuer(bundle, &before.iss)?;
            let issuer_name = issuer.map_or_else(|| before.iss.clone(), |issuer| issuer.name.clone());
            actors.push(RecordedActor { issuer_name, subject: before.sub.clone() });
        }
        Ok(actors)
    }
}

/// Why the actor token of a request is refused, given why it would be refused as a subject token.
pub(crate) fn of_token(failure: Failure) -> Failure {
    match failure.refusal {
        Refusal::Token(error) => {
            let detail = error.slug();
            Failure::new(Refusal::ActorToken(error), detail)
        }
        Refusal::AudienceMismatch { .. } => {
            let error = vouchsafe_types::TokenError::AudienceMismatch;
            let detail = error.slug();
            Failure::new(Refusal::ActorToken(error), detail)
        }
        _ => failure,
    }
}
