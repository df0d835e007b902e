use super::*;
use crate::limits::BODY_BYTES_MAX;

const REQUIRED: &str = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
    &subject_token=a.b.c&subject_token_type=urn:ietf:params:oauth:token-type:jwt";

fn parse(body: &str) -> Result<UnverifiedExchange, Refusal> {
    let mut form = Form::parse(body.as_bytes())?;
    let grant = Grant::of(&mut form)?;
    UnverifiedExchange::parse(grant, form)
}

/// Checks a request with every required parameter, plus `more`.
fn check(more: &str, expected: Result<(), Refusal>) {
    let body = format!("{REQUIRED}&{more}");
    assert_eq!(parse(&body).map(|_| ()), expected, "{more}");
}

fn fault(fault: RequestFault) -> Result<(), Refusal> {
    Err(Refusal::Request(fault))
}

#[test]
fn parses_complete_request() {
    let body = format!(
        "{REQUIRED}&audience=https%3A%2F%2Fa.example&scope=read+write+read&requested_expires_in=60\
         &requested_token_type={TOKEN_TYPE_JWT}&client_id=x&client_secret=y"
    );
    let request = parse(&body).map_err(|refusal| refusal.slug()).unwrap();
    assert_eq!(request.subject_token, "a.b.c");
    assert_eq!(request.audience, "https://a.example");
    assert_eq!(request.scopes, ["read", "write"]);
    assert_eq!(request.lifetime_seconds, Some(60));
    assert_eq!(request.token_type, Some(TokenType::Jwt));
}

#[test]
fn takes_subject_token_without_surrounding_white_space() {
    let with = |token: &str| {
        let body = format!("{REQUIRED}&audience=a").replace("=a.b.c", &format!("={token}"));
        parse(&body).map(|request| request.subject_token)
    };
    for token in ["a.b.c", "a.b.c%0A", "a.b.c%0D%0A", "+%09a.b.c++", "%0A%0Aa.b.c"] {
        assert_eq!(with(token), Ok("a.b.c".to_owned()), "{token}");
    }
    for token in ["+", "%0D%0A", "%09"] {
        assert_eq!(with(token), Err(RequestFault::ParameterMissing("subject_token").into()), "{token}");
    }
    for token in ["a.%0Ab.c", "a.b+c", "a.b%09c", "a.b%0D%0A.c"] {
        assert_eq!(with(token), Err(RequestFault::SubjectTokenWhiteSpace.into()), "{token}");
    }
    // Other white space is part of the token, which is then malformed.
    for token in ["a.b.c%C2%A0", "a.b.c%0B"] {
        assert!(with(token).is_ok_and(|token| token.len() > 5), "{token}");
    }
    for token in ["Bearer+a.b.c", "+bearer+a.b.c%0A", "BEARER+a"] {
        assert_eq!(with(token), Err(RequestFault::SubjectTokenBearer.into()), "{token}");
    }
    for token in ["Bearer", "Bearera.b.c"] {
        assert!(with(token).is_ok(), "{token}");
    }
    let longest = "x".repeat(SUBJECT_TOKEN_BYTES_MAX);
    assert_eq!(with(&format!("{longest}%0A")).map(|token| token.len()), Ok(SUBJECT_TOKEN_BYTES_MAX));
    assert_eq!(with(&format!("{longest}x")), Err(TokenError::TooLarge.into()));
}

#[test]
fn accepts_either_resource_or_audience() {
    check("resource=https://a.example", Ok(()));
    check("audience=a&resource=a", fault(RequestFault::AudienceAndResource));
    check("scope=read", fault(RequestFault::ParameterMissing("audience")));
    check("audience=", fault(RequestFault::ParameterMissing("audience")));
}

#[test]
fn names_missing_parameter() {
    let without = |name: &str| {
        REQUIRED.split('&').filter(|pair| !pair.starts_with(&format!("{name}="))).collect::<Vec<_>>().join("&")
    };
    for name in ["grant_type", "subject_token", "subject_token_type"] {
        let expected = fault(RequestFault::ParameterMissing(name));
        assert_eq!(parse(&format!("{}&audience=a", without(name))).map(|_| ()), expected);
    }
}

#[test]
fn refuses_other_grants_and_token_types() {
    let swap = |from: &str, to: &str| parse(&format!("{REQUIRED}&audience=a").replace(from, to)).map(|_| ());
    assert_eq!(swap(GRANT_TOKEN_EXCHANGE, "client_credentials"), fault(RequestFault::GrantUnsupported));
    assert_eq!(swap(TOKEN_TYPE_JWT, TOKEN_TYPE_ID), Ok(()));
    for kind in [TOKEN_TYPE_ACCESS, "urn:ietf:params:oauth:token-type:saml2", "jwt"] {
        assert_eq!(swap(TOKEN_TYPE_JWT, kind), fault(RequestFault::SubjectTokenTypeUnsupported));
    }
    for (kind, expected) in [
        (TOKEN_TYPE_ACCESS, Ok(())),
        (TOKEN_TYPE_JWT, Ok(())),
        (TOKEN_TYPE_ID, fault(RequestFault::RequestedTokenTypeUnsupported)),
    ] {
        check(&format!("audience=a&requested_token_type={kind}"), expected);
    }
}

#[test]
fn jwt_bearer_grant_refuses_actor_token() {
    for more in ["actor_token=x", "actor_token_type=x", "actor_token=x&actor_token_type=y"] {
        let request = parse(&format!("grant_type={GRANT_JWT_BEARER}&resource=a&assertion=t&{more}"));
        assert_eq!(request.map(drop), fault(RequestFault::ActorTokenUnsupported), "{more}");
    }
}

/// RFC 8693 §2.1: each of the parameters requires the other.
#[test]
fn takes_the_actor_token_with_its_type() {
    for (more, expected) in [
        (format!("actor_token=x&actor_token_type={TOKEN_TYPE_JWT}"), Ok(())),
        (format!("actor_token=x&actor_token_type={TOKEN_TYPE_ID}"), Ok(())),
        (format!("actor_token=%20x%0A&actor_token_type={TOKEN_TYPE_JWT}"), Ok(())),
        ("actor_token=&actor_token_type=".to_owned(), Ok(())),
        ("actor_token=x".to_owned(), fault(RequestFault::ParameterMissing("actor_token_type"))),
        (format!("actor_token_type={TOKEN_TYPE_JWT}"), fault(RequestFault::ParameterMissing("actor_token"))),
        (
            format!("actor_token=%20&actor_token_type={TOKEN_TYPE_JWT}"),
            fault(RequestFault::ParameterMissing("actor_token")),
        ),
        (format!("actor_token=x&actor_token_type={TOKEN_TYPE_ACCESS}"), fault(RequestFault::ActorTokenTypeUnsupported)),
        (format!("actor_token=bearer+x&actor_token_type={TOKEN_TYPE_JWT}"), fault(RequestFault::ActorTokenBearer)),
        (format!("actor_token=x+y&actor_token_type={TOKEN_TYPE_JWT}"), fault(RequestFault::ActorTokenWhiteSpace)),
    ] {
        check(&format!("audience=a&{more}"), expected);
    }
    let sized =
        |bytes: usize| format!("audience=a&actor_token_type={TOKEN_TYPE_JWT}&actor_token={}", "x".repeat(bytes));
    check(&sized(SUBJECT_TOKEN_BYTES_MAX), Ok(()));
    check(&sized(SUBJECT_TOKEN_BYTES_MAX + 1), Err(Refusal::ActorToken(TokenError::TooLarge)));
}

#[test]
fn refuses_authorization_details() {
    check("audience=a&authorization_details=[]", fault(RequestFault::AuthorizationDetailsUnsupported));
    check("audience=a&authorization_details=", Ok(()));
}

#[test]
fn takes_the_assertion_of_a_jwt_bearer_grant() {
    let with = |parameters: &str| {
        let request = parse(&format!("grant_type={GRANT_JWT_BEARER}&resource=a&scope=read{parameters}"));
        request.map(|request| (request.subject_token, request.audience, request.scopes.join(" ")))
    };
    let expected = || ("a.b.c".to_owned(), "a".to_owned(), "read".to_owned());
    assert_eq!(with("&assertion=a.b.c%0A"), Ok(expected()));
    // Parameters of the other grant are unknown to this one.
    assert_eq!(with("&assertion=a.b.c&subject_token=d.e.f&subject_token_type=x"), Ok(expected()));
    for missing in ["", "&assertion=", "&assertion=+", "&subject_token=a.b.c"] {
        assert_eq!(with(missing), Err(RequestFault::ParameterMissing("assertion").into()), "{missing}");
    }
    let too_large = format!("&assertion={}", "t".repeat(SUBJECT_TOKEN_BYTES_MAX + 1));
    assert_eq!(with(&too_large), Err(TokenError::TooLarge.into()));
    assert_eq!(with("&assertion=a.b.c&actor_token=x"), Err(RequestFault::ActorTokenUnsupported.into()));
    check("audience=a&assertion=d.e.f", Ok(()));
}

#[test]
fn bounds_scopes_and_refuses_malformed_ones() {
    let many = |count: usize| (0..count).map(|i| format!("s{i}")).collect::<Vec<_>>().join("+");
    check(&format!("audience=a&scope={}", many(SCOPES_MAX)), Ok(()));
    check(&format!("audience=a&scope={}", many(SCOPES_MAX + 1)), fault(RequestFault::ScopesTooMany));
    let long = "s".repeat(SCOPE_BYTES_MAX);
    check(&format!("audience=a&scope={long}"), Ok(()));
    check(&format!("audience=a&scope={long}s"), fault(RequestFault::ScopeMalformed));
    for scope in ["a++b", "+a", "a+", "a%22b", "a%5Cb", "a%09b", "%C3%A4"] {
        check(&format!("audience=a&scope={scope}"), fault(RequestFault::ScopeMalformed));
    }
}

#[test]
fn parses_lifetimes_as_positive_seconds() {
    for (text, expected) in [
        ("1", Ok(Some(1))),
        ("0", Err(())),
        ("00", Err(())),
        ("-1", Err(())),
        ("%2B1", Err(())),
        ("1.5", Err(())),
        ("1e3", Err(())),
        ("ten", Err(())),
        ("18446744073709551616", Ok(Some(u64::MAX))),
    ] {
        let got = parse(&format!("{REQUIRED}&audience=a&requested_expires_in={text}"));
        let got = got.map(|request| request.lifetime_seconds);
        assert_eq!(got, expected.map_err(|()| Refusal::Request(RequestFault::LifetimeInvalid)), "{text}");
    }
}

#[test]
fn bounds_body_token_and_audience() {
    let padded = |size: usize| {
        let body = format!("{REQUIRED}&audience=a&x=");
        let padding = "y".repeat(size - body.len());
        parse(&(body + &padding)).map(|_| ())
    };
    assert_eq!(padded(BODY_BYTES_MAX), Ok(()));
    assert_eq!(padded(BODY_BYTES_MAX + 1), fault(RequestFault::BodyTooLarge));

    let token = |size: usize| parse(&format!("{REQUIRED}&audience=a").replace("a.b.c", &"t".repeat(size))).map(|_| ());
    assert_eq!(token(SUBJECT_TOKEN_BYTES_MAX), Ok(()));
    assert_eq!(token(SUBJECT_TOKEN_BYTES_MAX + 1), Err(Refusal::Token(TokenError::TooLarge)));

    check(&format!("audience={}", "a".repeat(AUDIENCE_BYTES_MAX)), Ok(()));
    check(&format!("audience={}", "a".repeat(AUDIENCE_BYTES_MAX + 1)), Err(Refusal::Denied(Denial::AudienceUnknown)));
}

#[test]
fn checks_head_before_reading_body() {
    let form = "application/x-www-form-urlencoded";
    let head = |method, query, content_type| Head { method, query, content_type }.check();
    assert_eq!(head("POST", None, Some(form)), Ok(()));
    assert_eq!(head("POST", Some(""), Some("Application/X-WWW-form-urlencoded; charset=UTF-8")), Ok(()));
    assert_eq!(head("GET", None, Some(form)), fault(RequestFault::MethodNotAllowed));
    assert_eq!(head("post", None, Some(form)), fault(RequestFault::MethodNotAllowed));
    assert_eq!(head("POST", Some("audience=a"), Some(form)), fault(RequestFault::QueryNotAllowed));
    for content_type in [None, Some(""), Some("application/json"), Some("application/x-www-form-urlencodedx")] {
        assert_eq!(head("POST", None, content_type), fault(RequestFault::ContentTypeUnsupported));
    }
}
