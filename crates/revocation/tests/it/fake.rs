//! In-memory ports. A token is `jti audience scopes`, with the parts separated by `|`. One whose `jti` begins with `bound` is
//! bound to the key [`THUMBPRINT`]; one whose `jti` begins with `acting` has actors.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use vouchsafe_exchange::client::{ClientDecision, Credential, Presented};
use vouchsafe_exchange::client_address::ForwardedFor;
use vouchsafe_exchange::failure::Failure;
use vouchsafe_exchange::refusal::{ClientFault, Part, Refusal};
use vouchsafe_exchange::settings::Settings;
use vouchsafe_revocation::Credentials;
use vouchsafe_revocation::ports::Ports;
use vouchsafe_types::{
    Actor, Added, Affected, Attribution, Consumption, IssuedToken, Lifted, Principal, ProofError, Revocation,
    RevocationList, RevocationTarget, SignerSettings, StatusList, TokenError, TokenType, TokenUse, VerifiedProof,
};

pub const NOW: u64 = 1_800_000_000;
pub const ISSUER: &str = "https://broker.example";
pub const ADMIN: &str = "https://broker.example/admin";
pub const INTROSPECT: &str = "https://broker.example/introspect";

pub const THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

/// Ports whose tokens all verify until a test changes that.
#[derive(Default)]
pub struct Fake {
    pub verify_error: RefCell<Option<TokenError>>,
    pub plain_jwt: Cell<bool>,
    pub revoked: RefCell<Vec<&'static str>>,
    pub unavailable: RefCell<Vec<&'static str>>,
    /// The store's answer to the next `add`, instead of that the revocation is in force.
    pub added: RefCell<Option<Added>>,
    pub calls: RefCell<Vec<String>>,
    pub revocations: RefCell<Vec<Revocation>>,
    pub list: RefCell<RevocationList>,
    /// Keys of the uses that were consumed.
    pub used: RefCell<Vec<String>>,
    pub predates_store: Cell<bool>,
    /// Revoked indexes of every status list, if there are lists.
    pub statuses: RefCell<Option<Vec<u32>>>,
    /// Those that proofs need.
    pub nonces: RefCell<Option<Vec<String>>>,
    /// That of every proof.
    pub nonce: RefCell<Option<String>>,
    /// Seconds after [`NOW`].
    pub elapsed: Cell<u64>,
}

impl Fake {
    fn call(&self, name: &'static str, argument: &str, part: Part) -> Result<(), Failure> {
        self.calls.borrow_mut().push(format!("{name} {argument}").trim().to_owned());
        match self.unavailable.borrow().contains(&name) {
            true => Err(Failure::new(Refusal::Unavailable(part), "down")),
            false => Ok(()),
        }
    }

    /// The calls since the last time.
    pub fn calls(&self) -> Vec<String> {
        self.calls.take()
    }
}

/// The actors of a token whose `jti` begins with `acting`.
fn actors() -> Vec<Actor> {
    let actor = |sub: &str| Actor { iss: "https://cluster.example".into(), sub: sub.into() };
    vec![actor("agent"), actor("before")]
}

/// The text of a token.
pub fn token(jti: &str, audience: &str, scopes: &str) -> String {
    format!("{jti}|{audience}|{scopes}")
}

impl Ports for Fake {
    type Token = Vec<String>;

    fn now(&self) -> u64 {
        NOW + self.elapsed.get()
    }

    async fn settings(&self) -> Result<Settings, Failure> {
        Settings::try_from(SignerSettings {
            issuer: ISSUER.into(),
            development: false,
            epoch_seconds: 3600,
            algorithms: vec!["ES256".into()],
            backend_urls: vec![],
            warnings: vec![],
            trusted_proxies: "10.0.0.0/8".into(),
            forwarded_header: String::new(),
            group: "default".into(),
            root_fingerprint: None,
        })
    }

    fn parse(&self, token: &str) -> Result<Vec<String>, TokenError> {
        let parts: Vec<_> = token.split('|').map(str::to_owned).collect();
        if parts.len() == 3 { Ok(parts) } else { Err(TokenError::Malformed) }
    }

    fn stated_audience(&self, token: &Vec<String>) -> Option<String> {
        Some(token[1].clone())
    }

    async fn verify_issued(&self, token: &Vec<String>) -> Result<Result<IssuedToken, TokenError>, Failure> {
        self.call("verify", &token[0], Part::Signer)?;
        if let Some(error) = self.verify_error.borrow().clone().filter(|_| token[0] != "caller") {
            return Ok(Err(error));
        }
        Ok(Ok(IssuedToken {
            issuer: ISSUER.into(),
            token_type: if self.plain_jwt.get() { TokenType::Jwt } else { TokenType::AccessToken },
            subject: format!("github:{}", token[0]),
            audience: token[1].clone(),
            client_id: format!("github:{}", token[0]),
            scopes: token[2].split_whitespace().map(str::to_owned).collect(),
            jti: token[0].clone(),
            issued_at: NOW - 10,
            expires_at: NOW + 290,
            key_thumbprint: token[0].starts_with("bound").then(|| THUMBPRINT.to_owned()),
            actors: if token[0].starts_with("acting") { actors() } else { Vec::new() },
        }))
    }

    /// A proof is `thumbprint jti method url token`.
    fn verify_proof(&self, proof: &str, method: &str, url: &str, token: &str) -> Result<VerifiedProof, ProofError> {
        self.calls.borrow_mut().push(format!("prove {method} {url}"));
        let parts: Vec<_> = proof.splitn(5, ' ').collect();
        let [key_thumbprint, jti, of_method, of_url, of_token] = parts[..] else {
            return Err(ProofError::SignatureInvalid);
        };
        let faults = [
            (of_method == method, ProofError::MethodMismatch),
            (of_url == url, ProofError::UrlMismatch),
            (of_token == token, ProofError::TokenMismatch),
        ];
        if let Some((_, fault)) = faults.into_iter().find(|(holds, _)| !holds) {
            return Err(fault);
        }
        Ok(VerifiedProof {
            key_thumbprint: key_thumbprint.into(),
            jti: jti.into(),
            issued_at: NOW,
            nonce: self.nonce.borrow().clone(),
        })
    }

    async fn proof_nonces(&self) -> Result<Option<Vec<String>>, Failure> {
        Ok(self.nonces.borrow().clone())
    }

    async fn consume(&self, token_use: TokenUse) -> Result<Consumption, Failure> {
        self.call("consume", "", Part::Store)?;
        assert_eq!((token_use.uses_max, token_use.issued_at), (1, NOW));
        if self.predates_store.get() {
            return Ok(Consumption::PredatesStore);
        }
        let is_spent = self.used.borrow().contains(&token_use.key);
        self.used.borrow_mut().push(token_use.key);
        Ok(if is_spent { Consumption::Spent } else { Consumption::Fresh })
    }

    async fn check_client(&self, presented: Result<Option<Presented>, ClientFault>) -> Result<(), Failure> {
        self.call("check_client", "", Part::Policy)?;
        match presented? {
            Some(presented) => self.authenticate(presented).await.map(drop),
            None => Ok(()),
        }
    }

    /// The secret of every client is its id.
    async fn authenticate(&self, presented: Presented) -> Result<Principal, Failure> {
        self.call("authenticate", "", Part::Policy)?;
        match presented.credential {
            Credential::Secret { id, secret } if id == secret => Ok(Principal {
                entity_type: "Vouchsafe::Client".into(),
                id,
                issuer_name: "clients".into(),
                attributes: vec![],
            }),
            Credential::Secret { .. } | Credential::Assertion { .. } => Err(ClientFault::SecretWrong.into()),
        }
    }

    /// A client may ask about the audience that its id names.
    async fn decide_client(
        &self,
        client: &Principal,
        audience: &str,
        scope: &str,
        _: &ForwardedFor,
    ) -> Result<Option<ClientDecision>, Failure> {
        self.call("decide", scope, Part::Policy)?;
        assert_eq!(audience, INTROSPECT);
        let is_permitted = scope == format!("https://{}.example", client.id);
        let determining_rules = if is_permitted { vec!["clients".to_owned()] } else { vec![] };
        Ok(Some(ClientDecision { is_permitted, determining_rules, erring_rules: vec![] }))
    }

    async fn active(&self, jtis: Vec<String>) -> Result<Vec<bool>, Failure> {
        self.call("active", &jtis.join(","), Part::Store)?;
        Ok(jtis.iter().map(|jti| !self.revoked.borrow().contains(&jti.as_str())).collect())
    }

    async fn add(&self, id: String, target: RevocationTarget, by: Attribution) -> Result<Added, Failure> {
        self.call("add", &id, Part::Store)?;
        if let Some(added) = self.added.take() {
            return Ok(added);
        }
        let revocation = Revocation { id, target, at: NOW, by, lifted: None };
        self.revocations.borrow_mut().push(revocation.clone());
        Ok(Added::InForce(revocation))
    }

    async fn lift(&self, id: String, by: Attribution) -> Result<Option<Revocation>, Failure> {
        self.call("lift", &id, Part::Store)?;
        let mut revocations = self.revocations.borrow_mut();
        let block = revocations.iter_mut().find(|revocation| revocation.id == id);
        Ok(block.map(|block| {
            block.lifted = Some(Lifted { at: NOW, by });
            block.clone()
        }))
    }

    async fn list(&self) -> Result<Vec<Revocation>, Failure> {
        self.call("list", "", Part::Store)?;
        Ok(self.revocations.borrow().clone())
    }

    async fn count(&self, target: RevocationTarget) -> Result<Affected, Failure> {
        self.call("count", &format!("{target:?}"), Part::Store)?;
        Ok(Affected { tokens: 2, expires_at: NOW + 290, complete: true, workloads: vec![] })
    }

    async fn in_force(&self) -> Result<RevocationList, Failure> {
        self.call("in_force", "", Part::Store)?;
        Ok(self.list.borrow().clone())
    }

    async fn sign_revocations(&self, list: RevocationList) -> Result<String, Failure> {
        self.call("sign", "", Part::Signer)?;
        Ok(format!("{} at {}", list.sequence, self.now()))
    }

    async fn status_list(&self, name: &str) -> Result<Option<StatusList>, Failure> {
        self.call("status_list", name, Part::Store)?;
        let revoked = self.statuses.borrow().clone();
        Ok(revoked.map(|revoked| StatusList { name: name.to_owned(), revoked }))
    }

    async fn sign_status_list(&self, list: StatusList) -> Result<String, Failure> {
        self.call("sign", "", Part::Signer)?;
        Ok(format!("{} {:?} at {}", list.name, list.revoked, self.now()))
    }

    async fn sign_introspection(&self, audience: String, response: String) -> Result<String, Failure> {
        self.call("sign", "", Part::Signer)?;
        Ok(format!("{response} for {audience}"))
    }
}

/// What a request with a bearer token presents.
pub fn bearer(token: &str) -> Credentials {
    Credentials { authorization: vec![format!("Bearer {token}")], proofs: Vec::new() }
}

/// What a request to `target`, a method and a URL, with a bound token presents.
pub fn bound(token: &str, jti: &str, target: &str) -> Credentials {
    let proof = format!("{THUMBPRINT} {jti} {target} {token}");
    Credentials { authorization: vec![format!("DPoP {token}")], proofs: vec![proof] }
}

/// Runs a future that never waits.
pub fn done<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("nothing to wait for"),
    }
}
