//! `vouchsafe:store`.

use crate::bindings::state;
use vouchsafe_exchange::ports::{AuditRecord, Consumption, Recorded, Refused, RefusedKind};

impl From<state::Consumption> for Consumption {
    fn from(consumption: state::Consumption) -> Self {
        match consumption {
            state::Consumption::Fresh => Self::Fresh,
            state::Consumption::PredatesStore => Self::PredatesStore,
            state::Consumption::Spent => Self::Spent,
        }
    }
}

impl From<state::Recorded> for Recorded {
    fn from(recorded: state::Recorded) -> Self {
        match recorded {
            state::Recorded::Written => Self::Written,
            state::Recorded::Counted(decision_id) => Self::Counted { decision_id },
            state::Recorded::Limited(state::Limited { decision_id, until }) => {
                Self::Limited { decision_id, until }
            }
            state::Recorded::Superseded => Self::Superseded,
        }
    }
}

impl From<Refused> for state::Refused {
    fn from(refused: Refused) -> Self {
        Self {
            kind: match refused.kind {
                RefusedKind::Denial => state::RefusedKind::Denial,
                RefusedKind::Outage => state::RefusedKind::Outage,
            },
            key: refused.key,
        }
    }
}

impl From<AuditRecord> for state::AuditRecord {
    fn from(record: AuditRecord) -> Self {
        Self {
            decision_id: record.decision_id,
            decided_at_ms: record.decided_at.saturating_mul(1000),
            refused: record.refused.map(Into::into),
            slug: record.slug.to_owned(),
            bundle_digest: record.bundle_digest,
            determining_rules: record.determining_rules,
            erring_rules: record.erring_rules,
            cedar_request: record.cedar_request,
            issuer_name: record.issuer_name,
            subject: record.subject,
            subject_jti: record.subject_jti,
            subject_digest: record.subject_digest,
            audience: record.audience,
            scopes: record.scopes,
            kid: record.kid,
            expires_at: record.expires_at,
            timings: record
                .timings
                .into_iter()
                .map(|(name, us)| (name.to_owned(), us))
                .collect(),
            generation: record.generation.map(|it| state::Generation {
                of: it.of,
                number: it.number,
            }),
        }
    }
}
