//! Values of variables: from flags, then `SPIN_VARIABLE_*`, then `.env`, then the manifest's defaults.
//!
//! Values may be secrets, so no message contains one.

use crate::error::HostError;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use vouchsafe_manifest::{Manifest, environment_name};

/// Maximum size of a file in `NAME=@FILE`.
const VALUE_BYTES_MAX: u64 = 64 * 1024;
/// Mode bits that let users other than the owner read.
const READ_BY_OTHERS: u32 = 0o044;

/// Collects values for the manifest's variables from all sources but its defaults.
pub fn collect(manifest: &Manifest, flags: &[String], dotenv: &Path) -> Result<BTreeMap<String, String>, HostError> {
    let mut values = BTreeMap::new();
    let file = read_dotenv(dotenv)?;
    for name in manifest.variables().keys() {
        let key = environment_name(name);
        let value = match std::env::var(&key) {
            Ok(value) => Some(value),
            Err(std::env::VarError::NotPresent) => file.get(&key).cloned(),
            Err(std::env::VarError::NotUnicode(_)) => {
                return Err(HostError::configuration(format!("{key} is not valid UTF-8")));
            }
        };
        if let Some(value) = value {
            values.insert(name.clone(), value);
        }
    }
    for flag in flags {
        let (name, value) = parse_flag(flag)?;
        values.insert(name, value);
    }
    Ok(values)
}

/// Warnings about files that hold a secret variable and are readable by other users, one text per file.
pub fn warnings(manifest: &Manifest, flags: &[String], dotenv: &Path) -> Vec<String> {
    let is_secret = |name: &str| {
        let variable = manifest.variables().get(name);
        variable.is_some_and(|variable| variable.secret)
    };
    let of_flag = |flag: &'_ String| {
        let (name, path) = flag.split_once("=@")?;
        (!name.contains('=') && is_secret(name)).then(|| (name.to_owned(), Path::new(path).to_owned()))
    };
    let in_dotenv = read_dotenv(dotenv).unwrap_or_default();
    let secrets = manifest.variables().keys().filter(|name| is_secret(name));
    let of_dotenv = secrets
        .filter(|name| in_dotenv.contains_key(&environment_name(name)))
        .map(|name| (name.clone(), dotenv.to_owned()));
    let files = flags.iter().filter_map(of_flag).chain(of_dotenv);
    let warning = |(name, path): (String, std::path::PathBuf)| {
        let mode = path.metadata().ok()?.permissions().mode() & 0o7777;
        let shown = path.display();
        (mode & READ_BY_OTHERS != 0).then(|| {
            format!(
                "warning: {shown} holds the secret variable `{name}` and is readable by other users (mode {mode:04o})\n\
                 hint: chmod 600 {shown}"
            )
        })
    };
    files.filter_map(warning).collect()
}

fn parse_flag(flag: &str) -> Result<(String, String), HostError> {
    let (name, value) = flag.split_once('=').ok_or_else(|| {
        HostError::configuration("--variable requires NAME=VALUE or NAME=@FILE")
            .hint("put `=` between the variable's name and its value")
    })?;
    let value = match value.strip_prefix('@') {
        Some(path) => read_value(name, Path::new(path))?,
        None => value.to_owned(),
    };
    Ok((name.to_owned(), value))
}

fn read_value(name: &str, path: &Path) -> Result<String, HostError> {
    let fail = |why: String| HostError::configuration(format!("variable `{name}` from {}: {why}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?.len();
    if size > VALUE_BYTES_MAX {
        return Err(fail(format!("the file has {size} bytes, more than the maximum of {VALUE_BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    // The line break that editors add at the end is not part of the value.
    Ok(text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t)).to_owned())
}

fn read_dotenv(path: &Path) -> Result<BTreeMap<String, String>, HostError> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse_dotenv(&text)
            .map_err(|line| HostError::configuration(format!("{}:{line}: expected NAME=VALUE", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(HostError::configuration(format!("{}: {error}", path.display()))),
    }
}

/// `NAME=VALUE` lines, `#` comments, optional `export` and quotes around the value.
fn parse_dotenv(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut values = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').ok_or(index.saturating_add(1))?;
        values.insert(name.trim().to_owned(), unquote(value.trim()).to_owned());
    }
    Ok(values)
}

fn unquote(value: &str) -> &str {
    ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_dotenv_lines() {
        let text = "# local\n\nA=b=c\nexport B = 'x y'\nC=\"q\"\nD=\n";
        let values = parse_dotenv(text).expect("parses");
        let expected = [("A", "b=c"), ("B", "x y"), ("C", "q"), ("D", "")];
        assert_eq!(values, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        assert_eq!(parse_dotenv("A=1\nnonsense"), Err(2));
    }

    #[test]
    fn does_not_repeat_flag_without_equals_sign() {
        let failure = parse_flag("hunter2").expect_err("refused");
        assert!(!failure.message.contains("hunter2"), "{}", failure.message);
    }

    #[test]
    fn warns_about_readable_secrets() {
        let text = "spin_manifest_version = 2\n[application]\nname = \"t\"\n[variables]\n\
            root = { default = \"\", secret = true }\nopen = { default = \"\" }\n\
            [[trigger.http]]\nroute = \"/...\"\ncomponent = \"c\"\n[component.c]\nsource = \"c.wasm\"\n";
        let manifest = Manifest::parse(text).expect("a manifest");
        let folder = std::env::temp_dir().join(format!("variables-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (value, dotenv) = (folder.join("value"), folder.join(".env"));
        let write = |path: &Path, text: &str, mode: u32| {
            std::fs::write(path, text).expect("written");
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(path, mode).expect("set");
        };
        let warning = |path: &Path, mode: &str| {
            format!(
                "warning: {0} holds the secret variable `root` and is readable by other users (mode {mode})\n\
                 hint: chmod 600 {0}",
                path.display()
            )
        };
        let secret = [format!("root=@{}", value.display())];
        let open = [format!("open=@{}", value.display()), "root=@".to_owned()];
        for (mode, expected) in [(0o600, None), (0o700, None), (0o640, Some("0640")), (0o604, Some("0604"))] {
            write(&value, "x", mode);
            let expected: Vec<_> = expected.map(|mode| warning(&value, mode)).into_iter().collect();
            assert_eq!(warnings(&manifest, &secret, &dotenv), expected, "{mode:o}");
            assert_eq!(warnings(&manifest, &open, &dotenv), [""; 0], "{mode:o}");
        }
        write(&dotenv, "SPIN_VARIABLE_OPEN=x\n", 0o644);
        assert_eq!(warnings(&manifest, &[], &dotenv), [""; 0]);
        write(&dotenv, "SPIN_VARIABLE_ROOT=x\n", 0o644);
        assert_eq!(warnings(&manifest, &[], &dotenv), [warning(&dotenv, "0644")]);
        write(&dotenv, "SPIN_VARIABLE_ROOT=x\n", 0o600);
        assert_eq!(warnings(&manifest, &[], &dotenv), [""; 0]);
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
