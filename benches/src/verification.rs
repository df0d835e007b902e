//! The cost of verifying a signature in a component, compared with native code.

use crate::Outcome;
use crate::broker::Site;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING,
    ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Length of the signing input of a GitHub token.
const MESSAGE_BYTES: usize = 1600;
const TIMES: u32 = 300;
const ANSWER_MAX: Duration = Duration::from_secs(20);

struct Sample {
    name: &'static str,
    jwk: Value,
    signature: Vec<u8>,
    fastest: ParsedPublicKey,
}

/// Prints a line per algorithm.
pub fn run(site: &Site) -> Outcome<()> {
    let message = "a".repeat(MESSAGE_BYTES);
    let (wasm, host) = (site.start_guest("verify")?, site.start_guest("verify_host_crypto")?);
    println!(
        "\n{:<28} {:>10} {:>10} {:>14} {:>12} {:>12}",
        "us per verification", "in Wasm", "in host", "aws-lc native", "Wasm/aws-lc", "host/aws-lc"
    );
    for sample in samples(message.as_bytes())? {
        let wasm = in_component(&wasm.address, "/time", &sample, &message)?;
        let host = in_component(&host.address, "/time", &sample, &message)?;
        let fastest = timed(|| {
            sample.fastest.verify_sig(message.as_bytes(), &sample.signature).map_err(|_| "not verified".into())
        })?;
        println!(
            "{:<28} {wasm:>10.1} {host:>10.1} {fastest:>14.1} {:>12.1} {:>12.1}",
            sample.name,
            wasm / fastest,
            host / fastest
        );
    }
    Ok(())
}

fn samples(message: &[u8]) -> Outcome<Vec<Sample>> {
    Ok(vec![
        rsa("RS256, 2048 bits", KeySize::Rsa2048, message)?,
        rsa("RS256, 4096 bits", KeySize::Rsa4096, message)?,
        ecdsa("ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P256_SHA256_FIXED, message)?,
        ecdsa("ES384", "P-384", &ECDSA_P384_SHA384_FIXED_SIGNING, &ECDSA_P384_SHA384_FIXED, message)?,
        ed25519(message)?,
    ])
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa(name: &'static str, size: KeySize, message: &[u8]) -> Outcome<Sample> {
    let key = RsaKeyPair::generate(size)?;
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
    // RSAPublicKey in DER ends with the modulus and five bytes for the exponent 65537.
    let der = key.public_key().as_ref();
    let end = der.len().checked_sub(5).ok_or("a short key")?;
    let modulus =
        end.checked_sub(key.public_modulus_len()).and_then(|start| der.get(start..end)).ok_or("a short key")?;
    Ok(Sample {
        name,
        jwk: json!({ "kty": "RSA", "n": encode(modulus), "e": "AQAB" }),
        fastest: ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der)?,
        signature,
    })
}

fn ecdsa(
    name: &'static str,
    curve: &str,
    signing: &'static EcdsaSigningAlgorithm,
    verifying: &'static dyn VerificationAlgorithm,
    message: &[u8],
) -> Outcome<Sample> {
    let key = EcdsaKeyPair::generate(signing)?;
    let point = key.public_key().as_ref();
    let (x, y) = point.get(1..).and_then(|both| both.split_at_checked(both.len() / 2)).ok_or("a short point")?;
    Ok(Sample {
        name,
        jwk: json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) }),
        signature: key.sign(&SystemRandom::new(), message)?.as_ref().to_vec(),
        fastest: ParsedPublicKey::new(verifying, point)?,
    })
}

fn ed25519(message: &[u8]) -> Outcome<Sample> {
    let key = Ed25519KeyPair::generate()?;
    let point = key.public_key().as_ref();
    Ok(Sample {
        name: "EdDSA, Ed25519",
        jwk: json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(point) }),
        signature: key.sign(message).as_ref().to_vec(),
        fastest: ParsedPublicKey::new(&ED25519, point)?,
    })
}

/// Microseconds of one call, the best of three series.
fn timed(run: impl Fn() -> Outcome<()>) -> Outcome<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        for _ in 0..TIMES {
            black_box(run()?);
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES));
    }
    Ok(best)
}

/// The same in the guest, which runs the loop and reads the clock.
fn in_component(address: &str, path: &str, sample: &Sample, message: &str) -> Outcome<f64> {
    let body = format!("{TIMES}\n{}\n{message}\n{}\n", sample.jwk, encode(&sample.signature));
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, text) = answer.rsplit_once("\r\n\r\n").ok_or("no answer")?;
        let us: f64 = text.trim().parse().map_err(|_| format!("{}: {answer}", sample.name))?;
        best = best.min(us);
    }
    Ok(best)
}
