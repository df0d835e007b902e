use super::*;

fn check(document: &[u8], expected: Result<(), JsonError>) {
    let outcome = JsonObject::parse(document).map(|_| ());
    assert_eq!(outcome, expected, "{}", String::from_utf8_lossy(document));
}

fn nested(levels: usize) -> String {
    // The outermost object is one level.
    let arrays = levels - 1;
    format!(r#"{{"a":{}{}}}"#, "[".repeat(arrays), "]".repeat(arrays))
}

#[test]
fn accepts_plain_objects() {
    for document in
        ["{}", " { } ", r#"{"a":null}"#, r#"{"a":[],"b":{"a":1}}"#, "{\"a\":\"\u{1d11e}\"}", r#"{"a":"\ud834\udd1e"}"#]
    {
        check(document.as_bytes(), Ok(()));
    }
}

/// Some libraries read the first of two members, others the last.
#[test]
fn rejects_duplicate_members_at_any_depth() {
    for document in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"a":3}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"o":{"a":1,"a":2}}"#,
        r#"{"l":[{"a":1,"a":2}]}"#,
        r#"{"":1,"":2}"#,
        r#"{"a":1,"a":}"#,
    ] {
        check(document.as_bytes(), Err(JsonError::DuplicateMember));
    }
    check(br#"{"a":1,"A":2}"#, Ok(()));
}

/// Athenz had a limit of a thousand levels.
#[test]
fn rejects_nesting_beyond_the_limit() {
    check(nested(JSON_DEPTH_MAX).as_bytes(), Ok(()));
    check(nested(JSON_DEPTH_MAX + 1).as_bytes(), Err(JsonError::TooDeep));
    check(nested(100).as_bytes(), Err(JsonError::TooDeep));
    check(nested(100_000).as_bytes(), Err(JsonError::TooDeep));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(JSON_DEPTH_MAX), "}".repeat(JSON_DEPTH_MAX));
    check(objects.as_bytes(), Ok(()));
    check(format!(r#"{{"a":{objects}}}"#).as_bytes(), Err(JsonError::TooDeep));
}

#[test]
fn rejects_invalid_utf8() {
    for document in [
        &b"{\"a\":\"\xff\"}"[..],
        b"{\"a\":\"\xc0\xaf\"}",
        b"{\"a\":\"\xed\xa0\x80\"}",
        b"\xff\xfe{\0}\0",
        b"{\"\x80\":1}",
    ] {
        check(document, Err(JsonError::NotUtf8));
    }
}

#[test]
fn rejects_malformed_json() {
    for document in [
        "",
        " ",
        "{",
        "}",
        "{}{}",
        "{} x",
        "{}\0",
        "{a:1}",
        "{'a':1}",
        r#"{"a":1,}"#,
        r#"{"a" 1}"#,
        r#"{"a":01}"#,
        r#"{"a":+1}"#,
        r#"{"a":.5}"#,
        r#"{"a":1.}"#,
        r#"{"a":NaN}"#,
        r#"{"a":Infinity}"#,
        r#"{"a":-}"#,
        r#"{"a":0x1}"#,
        r#"{"a":1e400}"#,
        r#"{"a":-1e400}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\udc00"}"#,
        r#"{"a":"\ud800\u0061"}"#,
        r#"{"a":"\x41"}"#,
        "{\"a\":\"\n\"}",
        "{\"a\":1/**/}",
        "\u{feff}{}",
        r#"{"a":tru}"#,
        r#"{"a":True}"#,
        r#"{"a"}"#,
        r#"{"\ud800":1}"#,
    ] {
        check(document.as_bytes(), Err(JsonError::Syntax));
    }
}

#[test]
fn rejects_documents_that_are_not_objects() {
    for document in ["null", "true", "1", "1.5", r#""a""#, "[]", r#"[{"a":1}]"#] {
        check(document.as_bytes(), Err(JsonError::NotAnObject));
    }
}

#[test]
fn keeps_integers_exact() {
    for (text, value) in [
        ("0", Json::Integer(0)),
        ("-1", Json::Integer(-1)),
        ("9007199254740993", Json::Integer(9_007_199_254_740_993)),
        ("18446744073709551615", Json::Integer(i128::from(u64::MAX))),
        ("-9223372036854775808", Json::Integer(i128::from(i64::MIN))),
        // Beyond 64 bits a number is not an integer.
        ("18446744073709551616", Json::Float(18_446_744_073_709_551_616.0)),
        ("1e3", Json::Float(1000.0)),
        ("1.5", Json::Float(1.5)),
    ] {
        let object = JsonObject::parse(format!(r#"{{"a":{text}}}"#).as_bytes());
        assert_eq!(object.as_ref().map(|object| object.get("a")), Ok(Some(&value)), "{text}");
    }
}

/// A claim is one value; nothing around it may become part of a token.
#[test]
fn accepts_exactly_one_value() {
    for text in [
        "null",
        "true",
        "-0.5e3",
        "18446744073709551616",
        r#""a\u00e9""#,
        "[]",
        "{}",
        " [1, 2] ",
        r#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#,
    ] {
        assert!(Json::parse(text.as_bytes()).is_ok(), "{text}");
    }
    for (text, expected) in [
        ("", JsonError::Syntax),
        (" ", JsonError::Syntax),
        ("nul", JsonError::Syntax),
        ("01", JsonError::Syntax),
        ("1 2", JsonError::Syntax),
        ("1,", JsonError::Syntax),
        ("[1,]", JsonError::Syntax),
        ("{}{}", JsonError::Syntax),
        ("'a'", JsonError::Syntax),
        ("\"a", JsonError::Syntax),
        ("\"\u{1}\"", JsonError::Syntax),
        (r#""\ud800""#, JsonError::Syntax),
        ("NaN", JsonError::Syntax),
        ("1e999", JsonError::Syntax),
        (r#"[{"b":{"a":1,"a":2}}]"#, JsonError::DuplicateMember),
        ("{a:1}", JsonError::Syntax),
        ("// c\n1", JsonError::Syntax),
        (r#"1,"sub":"other""#, JsonError::Syntax),
    ] {
        assert_eq!(Json::parse(text.as_bytes()), Err(expected), "{text}");
    }
}

#[test]
fn bounds_nesting_of_arrays() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Json::parse(nested(JSON_DEPTH_MAX).as_bytes()).is_ok());
    let deep = [nested(JSON_DEPTH_MAX + 1), "[".repeat(100_000)];
    for text in deep {
        assert_eq!(Json::parse(text.as_bytes()), Err(JsonError::TooDeep));
    }
}
