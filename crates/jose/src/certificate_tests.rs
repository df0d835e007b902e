use vouchsafe_json::JsonObject;

use crate::error::KeyError;
use crate::key::{KeyUse, PublicKey};

/// Keys as members of a JWK, each with its self-signed certificate.
const RSA: [&str; 2] = [
    r#""kty":"RSA","e":"AQAB","n":"rRSBbqFegt4P9UDq-Ug8NTOlbvEQWKM66UmFPN7fOOuvjlIq3ZWtFa39zxbTOaac4EYtliUF8ZOzhTFKz95Dej6kdNtBp9rCQUsx_YyiC_P_Y1wl94Ph59Wgb7Y6qzm-QPbPQyDxS9zXViD1zOdUje1WRuxVuNR-8mdk6czcUVAY9bVXCwU2shicv5mxUR0z945tSSgXSoQwv_aMkWnawg7Ap1UOHYxFE_Mhis3DNCewTVUprWgKgmGfgGCTY96oVvfrbQ7-UEhBIgSOjgx96103F846kSC0Mg8jTmyOb_bUacezKkOBzxXSHEENC4lFA7cAD5h5WVELnSogrM1Ptw""#,
    "MIIDATCCAemgAwIBAgIUY0pPwcN/IR1HfNxsDQOI60plKn0wDQYJKoZIhvcNAQELBQAwDzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjQxNjE0MzVaGA8yMTI2MTAzMTE2MTQzNVowDzENMAsGA1UEAwwEdGVzdDCCASIwDQYJKoZIhvcNAQEBBQADggEPADCCAQoCggEBAK0UgW6hXoLeD/VA6vlIPDUzpW7xEFijOulJhTze3zjrr45SKt2VrRWt/c8W0zmmnOBGLZYlBfGTs4UxSs/eQ3o+pHTbQafawkFLMf2Mogvz/2NcJfeD4efVoG+2Oqs5vkD2z0Mg8Uvc11Yg9cznVI3tVkbsVbjUfvJnZOnM3FFQGPW1VwsFNrIYnL+ZsVEdM/eObUkoF0qEML/2jJFp2sIOwKdVDh2MRRPzIYrNwzQnsE1VKa1oCoJhn4Bgk2PeqFb3620O/lBIQSIEjo4MfetdNxfOOpEgtDIPI05sjm/21GnHsypDgc8V0hxBDQuJRQO3AA+YeVlRC50qIKzNT7cCAwEAAaNTMFEwHQYDVR0OBBYEFH/8x1LaCmfZVe2jgSC+GFQM4afRMB8GA1UdIwQYMBaAFH/8x1LaCmfZVe2jgSC+GFQM4afRMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQELBQADggEBAFZvLKzD2lBamR9q4HUiAn4zoYK1xyEqvVY6y5phCfsrT/z51CQRLfEu9Y1zr5povuDjiwQ03AIxqalWaUQZVQD68iE3wBEIsFwNmeMl5oHrb2Pynl76WFSZN1eCA7yM0eCNl7Fh9fp2r2rn1xpmyK+ipdu7sPGP/GD3HnaGzMvoYQgIMkipLT+2Py1T72mjv2NKU3GXRePgAyL30llyReyza0YaLsqEV7ncl1o1pL16I4ku6zqJky4xmMWUPqg8g/yz8H9BuH6W2jW01SnoaKJseBpqlaBWnQsI76obaudSarrK8N+0uqTnmQhehODjO2jREYHH3ZaqV571xYSViJk=",
];
const P256: [&str; 2] = [
    r#""kty":"EC","crv":"P-256","x":"CoHIeaTKxJwMHiahReNzkUhA1VdPWTQXx9TRVtFlg0Y","y":"c1dX8STlYYM-V7j2qhd_UK8P2qxgYCI8x4R2BzAYJgU""#,
    "MIIBdDCCARugAwIBAgIUF4gfaH9D6JmkqPLYjTq0sPIRF6EwCgYIKoZIzj0EAwIwDzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjQxNjE0MzVaGA8yMTI2MTAzMTE2MTQzNVowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAqByHmkysScDB4moUXjc5FIQNVXT1k0F8fU0VbRZYNGc1dX8STlYYM+V7j2qhd/UK8P2qxgYCI8x4R2BzAYJgWjUzBRMB0GA1UdDgQWBBRn8fT6F9KACZEVmmpFxrX1PGlFpDAfBgNVHSMEGDAWgBRn8fT6F9KACZEVmmpFxrX1PGlFpDAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIBxHJJ349NtMjivyKats25uqAbPuDltVNAfFNdIYkHpTAiBmR9NZtWGEZH1Z3Y+Ah/TvylPyINJa1Ce1nML6Deu4/w==",
];
const P384: [&str; 2] = [
    r#""kty":"EC","crv":"P-384","x":"kDQtH8psbbPm3s7zYmSsva5Pt0FYfi3sA5phoNLRdezDpvevvE6jV-BXcNGJsE3v","y":"z7YlRWdo9HKIy9biPL7zgOEsBRxKTUI5tWpYRBmW1tD6m0sRxLZGUdIcya39gxzJ""#,
    "MIIBsjCCATigAwIBAgIUVl6XjC9TirtgEMVQsTdtApgHp2swCgYIKoZIzj0EAwIwDzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjQxNjE0MzVaGA8yMTI2MTAzMTE2MTQzNVowDzENMAsGA1UEAwwEdGVzdDB2MBAGByqGSM49AgEGBSuBBAAiA2IABJA0LR/KbG2z5t7O82JkrL2uT7dBWH4t7AOaYaDS0XXsw6b3r7xOo1fgV3DRibBN78+2JUVnaPRyiMvW4jy+84DhLAUcSk1CObVqWEQZltbQ+ptLEcS2RlHSHMmt/YMcyaNTMFEwHQYDVR0OBBYEFJgdlMqu3rSZ9+R/EgdmhaD6bx98MB8GA1UdIwQYMBaAFJgdlMqu3rSZ9+R/EgdmhaD6bx98MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDaAAwZQIwNyyDRvLo6BXlstbxB+e9tTxW6bGFqZ7Zh5Bpea1Um16vdIuaOkFraTvhD2XAWYlZAjEAjfqQgoINXBuMYx2i1jym5ZeZr1kd3T3nKdHeZVxUoRwNMNp2wXmLtgSQ8MnIpXfL",
];
const ED25519: [&str; 2] = [
    r#""kty":"OKP","crv":"Ed25519","x":"bRKn936nFhhezglL-TulfZoqEte8K1ECCQyetd58ogw""#,
    "MIIBNDCB56ADAgECAhRVkZJe3y63ysWsXIvZJ2s6A4VH1zAFBgMrZXAwDzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjQxNjE0MzVaGA8yMTI2MTAzMTE2MTQzNVowDzENMAsGA1UEAwwEdGVzdDAqMAUGAytlcAMhAG0Sp/d+pxYYXs4JS/k7pX2aKhLXvCtRAgkMnrXefKIMo1MwUTAdBgNVHQ4EFgQU1cDou+5LDoxlYydulod2etn0LxgwHwYDVR0jBBgwFoAU1cDou+5LDoxlYydulod2etn0LxgwDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXADQQA/BzOTLEIE18yjyUgBWBdc5gmo0ns3jyGrFUreOCbrptLPLRvCPCnBh3fB+VtEbKNvrl6PsH2o00mZbTPttoIM",
];
const ALL: [[&str; 2]; 4] = [RSA, P256, P384, ED25519];

fn check(key: &str, chain: &str, expected: Result<(), KeyError>) {
    let jwk = format!("{{{key},\"x5c\":{chain}}}");
    let jwk = JsonObject::parse(jwk.as_bytes()).unwrap();
    let found = PublicKey::from_jwk(&jwk, KeyUse::Signature, &vouchsafe_crypto::Software).map(|_| ());
    assert_eq!(found, expected, "{key} {chain}");
}

#[test]
fn accepts_key_with_its_own_certificate_first() {
    for [key, certificate] in ALL {
        check(key, &format!("[\"{certificate}\"]"), Ok(()));
        check(key, &format!("[\"{certificate}\",\"AAAA\"]"), Ok(()));
    }
}

#[test]
fn rejects_certificate_of_another_key() {
    for [key, certificate] in ALL {
        for [_, other] in ALL.iter().filter(|[_, other]| *other != certificate) {
            let chain = format!("[\"{other}\",\"{certificate}\"]");
            check(key, &chain, Err(KeyError::Certificate));
        }
        for chain in ["[]", "null", "\"\"", "[\"\"]", "[1]", "{}", "[\"AAAA\"]", "[\"not base64\"]"] {
            check(key, chain, Err(KeyError::Certificate));
        }
        check(key, &format!("\"{certificate}\""), Err(KeyError::Certificate));
    }
}
