use super::*;
use vouchsafe_gateway::ROOT_LABEL;
use vouchsafe_harness::hsm;

fn keeper(token: &Arc<Pkcs11Token>) -> SessionKeeper {
    SessionKeeper::open(Arc::clone(token)).expect("a session")
}

fn open() -> Arc<Pkcs11Token> {
    let module = hsm::module().display().to_string();
    Arc::new(Pkcs11Token::open(&module, hsm::TOKEN, hsm::PIN).expect("the token"))
}

/// Not a test by itself: the one below runs it in its own process, with a token.
#[test]
#[ignore = "run by `reopens_lost_sessions`"]
fn loses_sessions() {
    let token = open();
    let (mut first, mut second) = (keeper(&token), keeper(&token));
    let root = Call::CreateRoot { generation: 7 };
    assert!(matches!(first.call(&root, None), Ok(Reply::Done)));
    assert_eq!(first.call(&root, None).map(drop), Err(Pkcs11Error::KeyExists(ROOT_LABEL.to_owned())));
    let derive = Call::Derive { message: vec![7; 100].into() };
    let seed = |keeper: &mut SessionKeeper| match keeper.call(&derive, None) {
        Ok(Reply::Bytes(seed)) => seed,
        other => panic!("{:?}", other.map(drop)),
    };
    let before = seed(&mut first);
    assert_eq!(before.0.len(), 32);
    assert!(seed(&mut second) == before);
    // A logout affects the whole process, and invalidates handles of private objects.
    let session = first.session.as_ref().expect("a session");
    session.logout().expect("logs out");
    assert!(seed(&mut first) == before, "logged in again");
    assert!(seed(&mut second) == before, "in every session");
    // A session without handles sees no private object, and logs in again too.
    let mut third = keeper(&token);
    let session = third.session.as_ref().expect("a session");
    session.logout().expect("logs out");
    assert!(seed(&mut third) == before, "logged in again");
    // A session that was closed without its owner's knowledge.
    first.session.take().expect("a session").close().expect("closes");
    assert!(seed(&mut first) == before, "opened again");
}

#[test]
fn reopens_lost_sessions() {
    hsm::Pkcs11Token::new().in_a_process("pkcs11::worker::token::tests::loses_sessions", &[]);
}
