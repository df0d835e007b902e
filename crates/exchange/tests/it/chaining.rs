//! Grants for other authorization servers (draft-ietf-oauth-identity-chaining), and the transaction that they carry.

use crate::fake::*;
use crate::{attempt, check};
use vouchsafe_exchange::refusal::{Denial, RequestFault};
use vouchsafe_exchange::wire::success;
use vouchsafe_types::{Audience, TokenType};

const JWT: &str = "&requested_token_type=urn:ietf:params:oauth:token-type:jwt";
const ACCESS: &str = "&requested_token_type=urn:ietf:params:oauth:token-type:access_token";

fn fake() -> Fake {
    let fake = Fake::new();
    fake.audience.replace(Some(Audience { authorization_server: true, max_lifetime_seconds: 60, ..audience() }));
    fake
}

#[test]
fn authorization_server_gets_a_grant() {
    for more in ["", JWT] {
        let fake = fake();
        let issued =
            attempt(&fake, &format!("{more}&requested_expires_in=60")).outcome.map_err(|it| it.refusal).unwrap();
        let body: serde_json::Value = serde_json::from_str(&success(&issued)).unwrap();
        assert_eq!(body["issued_token_type"], "urn:ietf:params:oauth:token-type:jwt");
        assert_eq!(body["token_type"], "N_A");
        assert_eq!(fake.signed.borrow()[0].token_type, TokenType::Jwt);
    }
}

#[test]
fn authorization_server_takes_no_access_token() {
    let fake = fake();
    check(&fake, ACCESS, Err(RequestFault::RequestedTokenTypeNotGrant.into()));
    assert_eq!(fake.count("sign"), 0);
    // A caller without a permit does not learn that the audience exists.
    fake.permitted.set(false);
    check(&fake, ACCESS, Err(Denial::PolicyDenied.into()));
}

#[test]
fn chain_carries_its_first_decision() {
    let fake = fake();
    check(&fake, "&requested_expires_in=60", Ok(()));
    let first = fake.signed.take().remove(0);
    assert_eq!(first.txn.as_ref(), Some(&first.jti));
    // The next server exchanges the grant, for an API or for a further server.
    for authorization_server in [false, true] {
        fake.audience.replace(Some(Audience { authorization_server, ..audience() }));
        fake.subject.borrow_mut().txn.clone_from(&first.txn);
        check(&fake, "", Ok(()));
        assert_eq!(fake.signed.take().remove(0).txn, first.txn);
    }
    let fake = Fake::new();
    check(&fake, "", Ok(()));
    assert_eq!(fake.signed.take().remove(0).txn, None);
}
