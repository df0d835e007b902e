//! Conversions between the generated records and those of `crates/types`, which have the same fields.

use crate::bindings::types as wit;
use vouchsafe_store::Error;
use vouchsafe_types as types;

/// Declares the conversion of a record; the fields of some are records themselves, options of them, or lists.
macro_rules! record {
    ($from:ident => $to:ident: $name:ident { $($field:ident),* }
     $(records { $($one:ident),* })? $(options { $($option:ident),* })? $(lists { $($list:ident),* })?) => {
        impl From<$from::$name> for $to::$name {
            fn from(it: $from::$name) -> Self {
                let $from::$name { $($field,)* $($($one,)*)? $($($option,)*)? $($($list,)*)? } = it;
                Self {
                    $($field,)*
                    $($($one: $one.into(),)*)?
                    $($($option: $option.map(Into::into),)*)?
                    $($($list: all($list),)*)?
                }
            }
        }
    };
}

/// Declares the conversion of an enum or a variant.
macro_rules! cases {
    ($from:ident => $to:ident: $name:ident { $($case:ident $(($value:ident))?),* }) => {
        impl From<$from::$name> for $to::$name {
            fn from(it: $from::$name) -> Self {
                match it {
                    $($from::$name::$case $(($value))? => Self::$case $(($value.into()))?,)*
                }
            }
        }
    };
}

pub fn all<T, U: From<T>>(items: Vec<T>) -> Vec<U> {
    items.into_iter().map(U::from).collect()
}

/// Encodes the result of a call.
pub fn answer<T, U: From<T>>(result: Result<T, Error>) -> wasmtime::Result<Result<U, wit::StoreError>> {
    Ok(result.map(U::from).map_err(|error| types::StoreError::from(error).into()))
}

record!(wit => types: Attribution { actor, decision_id, reason });
record!(wit => types: AuditRecord {
    decision_id, decided_at_ms, slug, bundle_digest, determining_rules, erring_rules, cedar_request, issuer_name,
    subject, subject_jti, subject_digest, audience, scopes, kid, expires_at, timings, token_digest, salt,
    key_thumbprint
} options { refused, generation, status } lists { actors });
record!(wit => types: Document { body, keep_until });
record!(wit => types: Generation { of, number });
record!(wit => types: IssuedTokens { since, until } records { filter });
record!(wit => types: RecordedActor { issuer_name, subject });
record!(wit => types: Refused { key } records { kind });
cases!(wit => types: RefusedKind { Denial, Outage });
cases!(wit => types: RevocationTarget { Blocked(filter), Issued(tokens), Token(jti) });
record!(wit => types: StatusReference { list, index });
record!(wit => types: TokenFilter { issuer_name, subject, audience, bundle_digest, kid });
record!(wit => types: TokenUse { key, uses_max, issued_at, keep_until });

cases!(types => wit: Added { Conflict, InForce(revocation), NoSuchToken, TooMany });
record!(types => wit: Affected { tokens, expires_at, complete } lists { workloads });
record!(types => wit: AffectedWorkload { issuer_name, subject, audience, tokens, expires_at });
record!(types => wit: Attribution { actor, decision_id, reason });
cases!(types => wit: Consumption { Fresh, PredatesStore, Spent });
record!(types => wit: Document { body, keep_until });
record!(types => wit: IssuedTokens { since, until } records { filter });
record!(types => wit: Lifted { at } records { by });
record!(types => wit: Limited { decision_id, until });
cases!(types => wit: LogProof { Included(proof), Pending, Unknown });
record!(types => wit: Pointer { value, revision });
cases!(types => wit: Recorded { Written, Counted(on), Limited(limit), Revoked, Superseded });
record!(types => wit: Revocation { id, at } records { target, by } options { lifted });
record!(types => wit: RevocationList { began_at, sequence, tokens } lists { rules });
record!(types => wit: RevocationRule { issuer_name, subject, audience, kid, since, until });
cases!(types => wit: RevocationTarget { Blocked(filter), Issued(tokens), Token(jti) });
cases!(types => wit: Space { Unknown, Ok, Low });
record!(types => wit: StatusBlock { list, first, count });
record!(types => wit: StatusList { name, revoked });
cases!(types => wit: StoreError { Invalid(text), Unavailable(text) });
record!(types => wit: TokenFilter { issuer_name, subject, audience, bundle_digest, kid });
record!(types => wit: TreeHead { log, size, root, revision });
