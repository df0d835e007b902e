use super::*;
use vouchsafe_gateway::ROOT_LABEL;
use vouchsafe_harness::hsm;

fn keeper(token: &Arc<Token>) -> SessionKeeper {
    SessionKeeper::open(Arc::clone(token)).expect("a session")
}

fn open() -> Arc<Token> {
    let module = hsm::module().display().to_string();
    Arc::new(Token::open(&module, hsm::TOKEN, hsm::PIN).expect("the token"))
}

/// Not a test: the one below runs it in a process of its own, with a token.
#[test]
#[ignore = "run by the test of lost sessions"]
fn loses_sessions() {
    let token = open();
    let (mut first, mut second) = (keeper(&token), keeper(&token));
    let root = Call::CreateRoot { generation: 7 };
    assert!(matches!(first.perform(&root, None), Ok(Reply::Done)));
    assert_eq!(
        first.perform(&root, None).map(drop),
        Err(Fault::KeyExists(ROOT_LABEL.to_owned()))
    );
    let derive = Call::Derive {
        message: vec![7; 100].into(),
    };
    let seed = |keeper: &mut SessionKeeper| match keeper.perform(&derive, None) {
        Ok(Reply::Bytes(seed)) => seed,
        other => panic!("{:?}", other.map(drop)),
    };
    let before = seed(&mut first);
    assert_eq!(before.0.len(), 32);
    assert!(seed(&mut second) == before);
    // A logout is the whole process's, and takes the handles of private objects along.
    let session = first.session.as_ref().expect("a session");
    session.logout().expect("logs out");
    assert!(seed(&mut first) == before, "logged in again");
    assert!(seed(&mut second) == before, "in every session");
    // One that has found no key yet sees none, and logs in all the same.
    let mut third = keeper(&token);
    let session = third.session.as_ref().expect("a session");
    session.logout().expect("logs out");
    assert!(seed(&mut third) == before, "logged in again");
    // A session that was closed behind its keeper's back.
    first
        .session
        .take()
        .expect("a session")
        .close()
        .expect("closes");
    assert!(seed(&mut first) == before, "opened again");
}

#[test]
fn a_lost_session_is_opened_and_logged_in_again() {
    hsm::Pkcs11Token::new().in_a_process("worker::token::tests::loses_sessions", &[]);
}

#[test]
fn knows_a_refused_pin_and_a_lost_session_from_other_errors() {
    use cryptoki::context::Function;
    let lost = |error| is_lost(&Error::Pkcs11(error, Function::Sign));
    for error in [
        RvError::SessionHandleInvalid,
        RvError::SessionClosed,
        RvError::UserNotLoggedIn,
        RvError::DeviceError,
        RvError::KeyHandleInvalid,
    ] {
        assert!(lost(error) && !is_of_pin(error), "{error:?}");
    }
    for error in [
        RvError::PinIncorrect,
        RvError::PinLocked,
        RvError::PinExpired,
    ] {
        assert!(is_of_pin(error) && !lost(error), "{error:?}");
    }
    for error in [
        RvError::FunctionFailed,
        RvError::MechanismInvalid,
        RvError::DataLenRange,
    ] {
        assert!(!lost(error) && !is_of_pin(error), "{error:?}");
        let is_of_the_module = error == RvError::FunctionFailed;
        assert_eq!(is_of_the_call(error), !is_of_the_module, "{error:?}");
    }
    // A login that ends so may have been a wrong PIN.
    for error in [
        RvError::ArgumentsBad,
        RvError::FunctionFailed,
        RvError::GeneralError,
        RvError::VendorDefined(0x8000_0001),
    ] {
        assert!(!is_before_the_pin(error), "{error:?}");
    }
}
