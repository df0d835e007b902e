//! Tokens that are not strict JWTs.

use serde_json::{Value, json};
use vouchsafe_harness::cases::{Fixture, TokenCase, case};
use vouchsafe_harness::exchange::{Want, bad};
use vouchsafe_harness::jwt::{base64url, mint, mint_raw};
use vouchsafe_harness::keys::Key;

const MALFORMED: Want = bad("token.malformed");
const WHITE_SPACE: Want = bad("request.subject_token_white_space");
const RS256: &str = r#"{"alg":"RS256","kid":"RS256","typ":"JWT"}"#;
/// Largest token, most claims, and deepest nesting.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
const CLAIMS_MAX: usize = 100;
const DEPTH_MAX: usize = 8;

fn signed(payload: impl AsRef<[u8]>) -> String {
    mint_raw(&Key::issuer("RS256"), RS256, payload)
}

/// The three parts of a valid token, rearranged.
fn parts(name: &str, want: Want, rearrange: fn(&str, &str, &str) -> String) -> TokenCase {
    case(name, want, move |fixture| {
        let token = fixture.token();
        let parts: Vec<_> = token.split('.').collect();
        rearrange(parts[0], parts[1], parts[2])
    })
}

/// Valid claims, rewritten as text.
fn payload(name: &str, want: Want, rewrite: fn(String) -> Vec<u8>) -> TokenCase {
    case(name, want, move |fixture| signed(rewrite(fixture.claims().to_string())))
}

/// Valid claims followed by the member `more`, as text.
fn with(text: &str, more: &str) -> Vec<u8> {
    format!("{},{more}}}", text.strip_suffix('}').expect("an object")).into_bytes()
}

fn nested(depth: usize) -> Value {
    (1..depth).fold(json!([]), |inner, _| json!([inner]))
}

/// A token of exactly `bytes` bytes, padded with a claim.
fn of_length(fixture: &Fixture, bytes: usize) -> String {
    let claims = fixture.claims();
    for header in
        [RS256, r#"{"alg":"RS256", "kid":"RS256","typ":"JWT"}"#, r#"{"alg":"RS256",  "kid":"RS256","typ":"JWT"}"#]
    {
        let shortest = signed(with(&claims.to_string(), r#""x":"""#)).len();
        let guess = bytes.saturating_sub(shortest) * 3 / 4;
        for length in guess.saturating_sub(8)..guess + 8 {
            let filled = with(&claims.to_string(), &format!(r#""x":"{}""#, "x".repeat(length)));
            let token = mint_raw(&Key::issuer("RS256"), header, filled);
            if token.len() == bytes {
                return token;
            }
        }
    }
    panic!("no token of {bytes} bytes");
}

fn shapes() -> Vec<TokenCase> {
    vec![
        parts("a good token", Want::Issued, |h, p, s| format!("{h}.{p}.{s}")),
        case("no JWT", MALFORMED, |_| "abc".to_owned()),
        case("only dots", MALFORMED, |_| "..".to_owned()),
        case("a JSON object", MALFORMED, |fixture| fixture.claims().to_string()),
        parts("one part", MALFORMED, |_, p, _| p.to_owned()),
        parts("two parts", MALFORMED, |h, p, _| format!("{h}.{p}")),
        parts("four parts", MALFORMED, |h, p, s| format!("{h}.{p}.{s}.{s}")),
        parts("five parts, as in JWE", MALFORMED, |h, p, s| format!("{h}.{p}.{s}.{s}.{s}")),
        parts("an empty fourth part", MALFORMED, |h, p, s| format!("{h}.{p}.{s}.")),
        parts("an empty header", MALFORMED, |_, p, s| format!(".{p}.{s}")),
        parts("an empty payload", MALFORMED, |h, _, s| format!("{h}..{s}")),
        parts("an empty signature", MALFORMED, |h, p, _| format!("{h}.{p}.")),
    ]
}

fn encodings() -> Vec<TokenCase> {
    vec![
        parts("padded base64", MALFORMED, |h, p, s| format!("{h}.{p}=.{s}")),
        parts("a padded signature", MALFORMED, |h, p, s| format!("{h}.{p}.{s}==")),
        parts("base64 of another alphabet", MALFORMED, |h, p, _| format!("{h}.{p}.+/+/")),
        parts("a line break inside", WHITE_SPACE, |h, p, s| format!("{h}.{p}.{}\n{}", &s[..8], &s[8..])),
        parts("a NUL inside", MALFORMED, |h, p, s| format!("{h}.\0{p}.{s}")),
        parts("letters beyond ASCII", MALFORMED, |h, p, s| format!("{h}.{p}é.{s}")),
        // 256 bytes leave 4 bits over in the last character, so 15 other characters decode to the same bytes.
        parts("a signature whose last bits are not zero", MALFORMED, |h, p, s| {
            let last = s.chars().last().expect("a character");
            let other = match last {
                'A' => 'B',
                'Q' => 'R',
                'g' => 'h',
                _ => 'x',
            };
            format!("{h}.{p}.{}{other}", &s[..s.len() - 1])
        }),
        parts("a length that base64 can't have", MALFORMED, |h, p, s| format!("{h}.{p}.{}", &s[..s.len() - 1])),
        parts("another token's signature", bad("token.signature_invalid"), |h, p, _| {
            format!("{h}.{p}.{}", base64url([1_u8; 256]))
        }),
        parts("a short signature", bad("token.signature_invalid"), |h, p, _| format!("{h}.{p}.{}", base64url([1_u8]))),
    ]
}

fn payloads() -> Vec<TokenCase> {
    vec![
        payload("bad UTF-8", MALFORMED, |text| {
            let mut bytes = with(&text, r#""x":"?""#);
            let at = bytes.iter().rposition(|byte| *byte == b'?').expect("a question mark");
            bytes[at] = 0xff;
            bytes
        }),
        payload("a byte order mark", MALFORMED, |text| [&[0xef, 0xbb, 0xbf][..], text.as_bytes()].concat()),
        payload("a lone surrogate", MALFORMED, |text| with(&text, r#""x":"\ud800""#)),
        payload("a member twice", MALFORMED, |text| with(&text, r#""repository_id":"123456""#)),
        payload("a member twice, once in escapes", MALFORMED, |text| with(&text, r#""\u0073ub":"x""#)),
        payload("a member twice, deep inside", MALFORMED, |text| with(&text, r#""x":[{"y":{"a":1,"b":2,"a":1}}]"#)),
        payload("text behind the object", MALFORMED, |text| (text + "{}").into_bytes()),
        payload("a comma too many", MALFORMED, |text| text.replace('}', ",}").into_bytes()),
        payload("a comment", MALFORMED, |text| text.replacen('{', "{/**/", 1).into_bytes()),
        payload("single quotes", MALFORMED, |text| text.replace('"', "'").into_bytes()),
        payload("a control character in text", MALFORMED, |text| with(&text, "\"x\":\"a\tb\"")),
        payload("a number too large", MALFORMED, |text| with(&text, r#""x":1e999"#)),
        payload("not a number", MALFORMED, |text| with(&text, r#""x":NaN"#)),
        payload("an array", MALFORMED, |text| format!("[{text}]").into_bytes()),
        payload("a string", MALFORMED, |_| b"\"claims\"".to_vec()),
        payload("null", MALFORMED, |_| b"null".to_vec()),
        payload("nothing at all", MALFORMED, |_| Vec::new()),
        payload("spaces only", MALFORMED, |_| b"   ".to_vec()),
        payload("zeros", MALFORMED, |_| vec![0; 64]),
        payload("10,000 open brackets", MALFORMED, |_| vec![b'['; 10_000]),
    ]
}

fn limits() -> Vec<TokenCase> {
    let deep = |name: &str, want, depth| {
        case(name, want, move |fixture: &Fixture| {
            let mut claims = fixture.claims();
            claims["x"] = nested(depth);
            mint("RS256", &claims)
        })
    };
    let many = |name: &str, want, count| {
        case(name, want, move |fixture: &Fixture| {
            let mut claims = fixture.claims();
            for index in claims.as_object().expect("claims").len()..count {
                claims[format!("x{index}")] = json!(index);
            }
            mint("RS256", &claims)
        })
    };
    vec![
        // The claims set itself is the first level.
        deep("nesting at the limit", Want::Issued, DEPTH_MAX - 1),
        deep("nesting over the limit", MALFORMED, DEPTH_MAX),
        deep("nesting far over the limit", MALFORMED, 2000),
        many("claims at the limit", Want::Issued, CLAIMS_MAX),
        many("claims over the limit", MALFORMED, CLAIMS_MAX + 1),
        case("a size at the limit", Want::Issued, |fixture| of_length(fixture, TOKEN_BYTES_MAX)),
        case("a size over the limit", bad("token.too_large"), |fixture| of_length(fixture, TOKEN_BYTES_MAX + 1)),
        case("48 KiB of letters", bad("token.too_large"), |_| "a".repeat(48 * 1024)),
    ]
}

pub fn cases() -> Vec<TokenCase> {
    [shapes(), encodings(), payloads(), limits()].into_iter().flatten().collect()
}

#[test]
fn rejects_anything_but_strict_jwts() {
    Fixture::start().run(cases());
}
